import warnings
from dataclasses import replace

import pytest
import torch
from tests.support import blobs, tiny_task
from torch import nn

from unscathed import (
    ClassificationTask,
    GradientAscent,
    NegGradPlus,
    Recipe,
    Saliency,
    Samples,
    Scrub,
    Trained,
    Unlearner,
    fit,
)
from unscathed.curvature import ModelFunction
from unscathed.unlearners.drift import Drift
from unscathed.unlearners.fine_tuning import FineTuning


@pytest.mark.parametrize(
    "unlearner", [NegGradPlus(), Scrub(), Saliency(), GradientAscent()], ids=lambda u: type(u).__name__
)
def test_a_second_request_draws_other_batches(unlearner: Unlearner) -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=3, batch_size=16), seed=0)
    later = replace(trained, history=trained.history * 2)
    one, other = (unlearner.unlearn(model, blobs(), blobs().ids[:20]) for model in (trained, later))
    assert any(not torch.equal(w, other.weights[name]) for name, w in one.weights.items())


RECKLESS: list[FineTuning] = [
    NegGradPlus(alpha=0.2, learning_rate=1.0),
    Scrub(learning_rate=2.0, steps=30),
    Saliency(alpha=0.05, learning_rate=1.0),
]


@pytest.mark.parametrize("reckless", RECKLESS, ids=lambda u: type(u).__name__)
def test_what_costs_too_much_is_undone_in_part(
    reckless: FineTuning, original: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    samples, _, test = digits
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = replace(reckless, kl_budget=None).unlearn(original, samples, hard)
    with pytest.warns(UserWarning, match=f"{type(reckless).__name__} kept .* of its step: the whole would cost"):
        guarded = reckless.unlearn(original, samples, hard)
    details = guarded.history[-1].details
    assert 0 < details["share"] < 1
    assert 0.9 * 0.05 < details["kl"] <= 0.05 < details["kl_of_whole_step"]
    assert details["kl_of_whole_step"] == whole.history[-1].details["kl"]
    assert guarded.score(test) > original.score(test) - 0.1
    # What history says is what the model does, and the weights lie on the way.
    drift = Drift(ModelFunction(original), samples.without(hard), original.seed)
    assert drift.of(guarded) == pytest.approx(details["kl"], rel=1e-6)
    for name, weight in original.weights.items():
        if weight.is_floating_point():
            between = weight + details["share"] * (whole.weights[name] - weight)
            torch.testing.assert_close(guarded.weights[name], between, rtol=1e-4, atol=1e-6)


def test_statistics_of_norms_go_back_too_and_counts_do_not() -> None:
    def normed() -> nn.Module:
        return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))

    samples = blobs(120)
    trained = fit(ClassificationTask(normed, 3), samples, Recipe(epochs=4, batch_size=16), seed=0)
    method = NegGradPlus(alpha=0.0, learning_rate=3.0, steps=20, kl_budget=1e-3)
    with pytest.warns(UserWarning, match="kept"):
        guarded = method.unlearn(trained, samples, samples.ids[:20])
    share = guarded.history[-1].details["share"]
    whole = replace(method, kl_budget=None).unlearn(trained, samples, samples.ids[:20])
    before, after = trained.weights["1.running_mean"], whole.weights["1.running_mean"]
    torch.testing.assert_close(guarded.weights["1.running_mean"], before + share * (after - before))
    assert torch.equal(guarded.weights["1.num_batches_tracked"], whole.weights["1.num_batches_tracked"])


def test_within_the_budget_nothing_is_undone() -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=3, batch_size=16), seed=0)
    for method in (NegGradPlus(), Scrub(), Saliency()):
        guarded = replace(method, kl_budget=1e3).unlearn(trained, blobs(), blobs().ids[:20])
        free = replace(method, kl_budget=None).unlearn(trained, blobs(), blobs().ids[:20])
        assert all(torch.equal(w, free.weights[name]) for name, w in guarded.weights.items())
        assert guarded.history[-1].details["share"] == 1
