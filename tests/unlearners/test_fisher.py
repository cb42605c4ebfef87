import pytest
import torch

from unscathed import Fisher, Samples, Trained
from unscathed.curvature import ModelFunction, fisher_diagonal


def test_the_noise_spends_its_budget_and_no_more(
    original: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    for budget in (0.01, 0.05, 0.3):
        details = Fisher(kl_budget=budget).unlearn(original, digits[0], hard).history[-1].details
        assert 0.8 * budget < details["kl"] <= budget
        assert details["calibrated"]


def test_noise_is_scaled_by_the_fourth_root_of_the_information(
    original: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    samples = digits[0]
    unlearned = Fisher(strength=0.01, floor=0.1).unlearn(original, samples, hard)
    function = ModelFunction(original)
    information = fisher_diagonal(function, samples.without(hard))
    information = information.clamp_min(0.1 * float(information.mean()))
    moved = function.flatten(ModelFunction(unlearned).parameters) - function.flatten(function.parameters)
    noise = moved * information.pow(0.25) / 0.01
    assert abs(float(noise.mean())) < 0.03
    assert float(noise.std()) == pytest.approx(1, abs=0.03)


def test_the_collapse_that_the_literature_reports_can_be_asked_for(
    original: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    collapsed = Fisher(strength=0.1).unlearn(original, digits[0], hard)
    assert collapsed.score(digits[2]) < 0.33
    assert not collapsed.history[-1].details["calibrated"]


def test_seeds_draw_different_noise(
    original: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    one, other = (Fisher(strength=0.01).unlearn(original, digits[0], hard, seed=s) for s in (0, 1))
    assert any(not torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_a_second_request_draws_other_noise_than_the_first(
    original: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    def noise(after: Trained, before: Trained) -> torch.Tensor:
        moved = ModelFunction(after), ModelFunction(before)
        return moved[0].flatten(moved[0].parameters) - moved[1].flatten(moved[1].parameters)

    method = Fisher(strength=0.01, floor=10.0)
    once = method.unlearn(original, digits[0], hard[:5])
    twice = method.unlearn(once, digits[0].without(hard[:5]), hard[5:])
    correlation = torch.corrcoef(torch.stack([noise(once, original), noise(twice, once)]))[0, 1]
    assert abs(float(correlation)) < 0.05
