from dataclasses import replace

import pytest
import torch
from tests.support.descent import PLAIN, batch_of, outputs_with, small_model, stepped
from tests.support.tasks import ridge_trained

from unscathed import DivergedError, GradientAscent, Samples, Trained

Parts = tuple[Samples, Samples, Samples]


def test_a_pass_in_one_batch_is_a_step_up_the_forget_sets_loss() -> None:
    trained, samples = small_model()
    forget = samples.only(samples.ids[:7])

    def objective(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        outputs = outputs_with(weights, forget)
        return -trained.task.losses(outputs, batch_of(forget)).mean()

    expected = dict(trained.weights)
    for _ in range(3):
        expected = stepped(expected, objective, 0.5 * 0.1)
    unlearned = GradientAscent(epochs=3, learning_rate=0.1, kl_budget=None).unlearn(trained, samples, forget.ids)
    for name, weight in expected.items():
        torch.testing.assert_close(unlearned.weights[name], weight, rtol=1e-10, atol=1e-12)
    assert unlearned.history[-1].steps == 3


def test_it_climbs_as_far_as_the_budget_lets_it(original: Trained, digits: Parts, hard: tuple[str, ...]) -> None:
    forgotten = digits[0].only(hard)
    for budget in (0.02, 0.1):
        method = GradientAscent(epochs=10, learning_rate=1.0, kl_budget=budget)
        unlearned = method.unlearn(original, digits[0], hard)
        details = unlearned.history[-1].details
        assert 0.9 * budget < details["kl"] <= budget
        assert 0 < details["share_of_last"] < 1
        assert details["halvings"] == 0
        assert unlearned.history[-1].steps >= details["passes"]
        assert unlearned.evaluate(forgotten).losses.mean() > 1.3 * original.evaluate(forgotten).losses.mean()
        assert unlearned.score(digits[2]) > original.score(digits[2]) - 0.1


def test_the_collapse_can_be_asked_for(original: Trained, digits: Parts, hard: tuple[str, ...]) -> None:
    collapsed = GradientAscent(epochs=40, learning_rate=1.0, kl_budget=None).unlearn(original, digits[0], hard)
    assert collapsed.score(digits[2]) < 0.33


@pytest.mark.parametrize("rate", [1e200, 1e308], ids=["too dear", "not finite"])
def test_losses_that_explode_are_taken_back(rate: float) -> None:
    trained, samples = ridge_trained()
    far = {"weight": trained.weights["weight"] + 100}  # where the first step's gradients are large already
    trained = replace(trained, recipe=replace(PLAIN, learning_rate=1.0), weights=far)
    if rate > 1e300:
        with pytest.raises(DivergedError):
            GradientAscent(learning_rate=rate, kl_budget=None).unlearn(trained, samples, samples.ids[:5])
    unlearned = GradientAscent(epochs=2, learning_rate=rate).unlearn(trained, samples, samples.ids[:5])
    details = unlearned.history[-1].details
    assert (details["passes"], details["share_of_last"]) == (1, 0.0)
    assert (details["halvings"] > 0) == (rate > 1e300)
    assert torch.equal(unlearned.weights["weight"], trained.weights["weight"])


def test_it_climbs_where_there_are_no_classes() -> None:
    trained, samples = ridge_trained()
    unlearned = GradientAscent(learning_rate=0.5, kl_budget=0.5).unlearn(trained, samples, samples.ids[:5])
    forgotten = samples.only(samples.ids[:5])
    assert unlearned.evaluate(forgotten).losses.mean() > trained.evaluate(forgotten).losses.mean()
