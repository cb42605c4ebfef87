import pytest
import torch
from tests.support import trained_by_hand

from unscathed import BadInputError, Fisher, Samples, Trained
from unscathed.curvature import ModelFunction, fisher_diagonal
from unscathed.lab.models import CharacterTransformer
from unscathed.lab.tasks import LanguageModel


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
    function = ModelFunction(original)
    for unlearner, power, scale in (
        (Fisher(strength=0.01, floor=0.1), 0.25, 0.01),
        (Fisher(strength=0.01, floor=0.1, information="true"), 0.25, 0.01),
        (Fisher(alpha=1e-6, floor=0.1), 0.5, 1e-3),
    ):
        unlearned = unlearner.unlearn(original, samples, hard)
        information = fisher_diagonal(function, samples.without(hard), unlearner.information)
        information = information.clamp_min(0.1 * float(information.mean()))
        moved = function.flatten(ModelFunction(unlearned).parameters) - function.flatten(function.parameters)
        noise = moved * information.pow(power) / scale
        assert abs(float(noise.mean())) < 0.03
        assert float(noise.std()) == pytest.approx(1, abs=0.03)


def test_the_collapse_that_the_literature_reports_can_be_asked_for(
    original: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    for setting in ({"strength": 0.1}, {"alpha": 1e-3}):
        collapsed = Fisher(**setting).unlearn(original, digits[0], hard)
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


def test_what_cannot_be_is_refused_before_any_work() -> None:
    with pytest.raises(BadInputError, match="strength and alpha are both given") as caught:
        Fisher(strength=1.0, alpha=-1.0, information="guessed")  # type: ignore[arg-type]
    assert "alpha=-1.0 must be positive" in str(caught.value)
    assert "information='guessed' must be one of 'empirical', 'true'" in str(caught.value)
    samples = Samples(torch.randint(1, 9, (6, 5)))
    writer = trained_by_hand(LanguageModel(lambda: CharacterTransformer(9, 5, width=8, heads=2), 9), samples)
    with pytest.raises(BadInputError, match="LanguageModel cannot name its answers"):
        Fisher(information="true").unlearn(writer, samples, samples.ids[:1])
    Fisher().unlearn(writer, samples, samples.ids[:1])
