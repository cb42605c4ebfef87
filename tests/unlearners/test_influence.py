import pytest
import torch
from tests.support import ridge_trained
from tests.support.tasks import ridge_solution

from unscathed import BadInputError, Influence, Samples, Trained


@pytest.mark.parametrize("count", [1, 7, 20])
def test_on_ridge_regression_one_step_is_exact_retraining(count: int) -> None:
    ridge = 0.7
    trained, samples = ridge_trained(ridge=ridge)
    forget = samples.ids[:count]
    retain = samples.without(forget)
    unlearner = Influence(
        damping=ridge / len(retain), iterations=200, tolerance=1e-14, curvature_samples=None, kl_budget=None
    )
    unlearned = unlearner.unlearn(trained, samples, forget)
    exact = ridge_solution(retain.inputs, retain.targets, ridge)
    torch.testing.assert_close(unlearned.weights["weight"][0], exact, rtol=1e-10, atol=1e-12)
    assert float((trained.weights["weight"][0] - exact).norm()) > 1e-4, "there was something to unlearn"


def test_the_step_is_halved_until_it_is_affordable(
    original: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    reckless = Influence(damping=1e-6, kl_budget=None, iterations=5).unlearn(original, digits[0], hard)
    guarded = Influence(damping=1e-6, kl_budget=0.01, iterations=5).unlearn(original, digits[0], hard)
    assert reckless.history[-1].details["kl"] > 0.01
    assert reckless.history[-1].details["halvings"] == 0
    assert guarded.history[-1].details["kl"] <= 0.01
    assert guarded.history[-1].details["halvings"] >= 1


def test_a_step_that_cannot_be_afforded_is_not_taken() -> None:
    trained, samples = ridge_trained()
    with pytest.raises(BadInputError, match="kl_budget"):
        Influence(kl_budget=-1.0)
    timid = Influence(kl_budget=1e-300, damping=0.0).unlearn(trained, samples, samples.ids[:5])
    moved = (timid.weights["weight"] - trained.weights["weight"]).norm()
    assert float(moved) < 1e-6
