"""One budget for all requests since a model was last fitted or healed."""

import math
import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.support import blobs, tiny_task, trained_by_hand

from unscathed import (
    BadInputError,
    BudgetSpentError,
    Fisher,
    GradientAscent,
    Healer,
    Influence,
    NegGradPlus,
    Recipe,
    Retrain,
    Saliency,
    Samples,
    Scrub,
    SelectiveDampening,
    SpareSet,
    Steward,
    Trained,
    Unlearner,
    fit,
)
from unscathed.curvature import ModelFunction
from unscathed.streams import Benign, Stream, endure
from unscathed.training import Event
from unscathed.unlearners.budget import left_of, way_since_healing
from unscathed.unlearners.drift import Drift

BUDGET = 0.05
METHODS: list[Unlearner] = [
    Fisher(kl_budget=BUDGET),
    Influence(kl_budget=BUDGET, damping=1e-3),
    Influence(kl_budget=BUDGET, curvature="last-layer"),
    GradientAscent(kl_budget=BUDGET, epochs=1),
    NegGradPlus(kl_budget=BUDGET, alpha=0.5, steps=5),
    Scrub(kl_budget=BUDGET, steps=6),
    Saliency(kl_budget=BUDGET, steps=6),
    SelectiveDampening(kl_budget=BUDGET, alpha=2.0),
]
pytestmark = pytest.mark.filterwarnings(
    "ignore:.* of its step", "ignore:nothing was dampened", "ignore:requests since the last healing", "ignore:training"
)


def with_history(*events: tuple[str, dict[str, Any]]) -> Trained:
    history = tuple(Event(kind=k, by="x", samples=1, steps=1, seconds=0.0, details=d) for k, d in events)
    return trained_by_hand(tiny_task(), blobs(), history=history)


def test_roots_add_up_since_the_model_was_made_or_mended() -> None:
    asked = [("unlearned", {"kl": 0.04}), ("unlearned", {}), ("unlearned", {"kl": 0.01, "kl_left": None})]
    fitted = ("fitted", {})
    assert way_since_healing(with_history()) == 0
    assert left_of(0.05, with_history(fitted)) == 0.05, "to the bit"
    assert way_since_healing(with_history(fitted, *asked)) == pytest.approx(0.3)
    assert left_of(0.25, with_history(fitted, *asked)) == pytest.approx((0.5 - 0.3) ** 2)
    assert left_of(0.09, with_history(fitted, *asked)) == pytest.approx(0.0)
    assert left_of(0.01, with_history(fitted, *asked)) == 0.0
    for again in (("healed", {}), ("unlearned", {"retrained": True}), ("unlearned", {"retrained": "why", "kl": 9.0})):
        assert way_since_healing(with_history(fitted, asked[0], again)) == 0
        assert way_since_healing(with_history(fitted, asked[0], again, asked[2])) == pytest.approx(0.1)
    assert left_of(1.0, with_history(fitted, ("unlearned", {"kl": math.inf}))) == 0


def test_to_retrain_is_to_begin_anew() -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=3, batch_size=16), seed=0)
    ids = blobs().ids
    moved = Fisher().unlearn(trained, blobs(), ids[:2])
    again = Retrain().unlearn(moved, blobs(), ids[2:4])
    assert Fisher().left(moved) < 0.001 < BUDGET == Fisher().left(again)  # type: ignore[operator]
    assert Fisher(strength=1.0).left(moved) is None
    assert GradientAscent(kl_budget=None).left(moved) is None
    assert Retrain().left(moved) is None


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_sequence_costs_no_more_than_one_request_may(
    method: Unlearner, original: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    samples, model, honoured = digits[0], original, 0
    for start in range(0, 24, 6):
        left = method.left(model)
        try:
            after = method.unlearn(model, samples, hard[start : start + 6])
        except BudgetSpentError:
            assert left is not None
            assert left <= 0.01 * BUDGET
            break
        details = after.history[-1].details
        assert details["kl_left"] == left
        assert details["kl"] <= left  # type: ignore[operator]
        model, honoured = after, honoured + 1
    assert honoured >= 1
    drift = Drift(ModelFunction(original), samples.only(model.ids), seed=0).of(model)
    assert 0 < drift <= BUDGET
    assert math.sqrt(drift) <= 1.02 * way_since_healing(model), "the sum of roots bounds the way"


def test_methods_share_the_account(
    original: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    first = Fisher(kl_budget=0.01).unlearn(original, digits[0], hard[:9])
    assert 0.009 < first.history[-1].details["kl"] <= 0.01
    expected = (math.sqrt(BUDGET) - math.sqrt(first.history[-1].details["kl"])) ** 2
    with pytest.warns(UserWarning, match=r"kept .* kl_budget=0.05, of which 0.01\d are left since the last healing"):
        second = NegGradPlus(alpha=0.0, steps=40).unlearn(first, digits[0], hard[9:18])
    details = second.history[-1].details
    assert 0.9 * expected < details["kl"] <= details["kl_left"] == pytest.approx(expected)
    with pytest.raises(BudgetSpentError, match="heal the model first"):
        Fisher().unlearn(second, digits[0], hard[18:20])
    # Who grants more may go on.
    third = Fisher(kl_budget=0.2).unlearn(second, digits[0], hard[18:20])
    drift = Drift(ModelFunction(original), digits[0].only(third.ids), seed=0).of(third)
    assert 0.02 < third.history[-1].details["kl"] <= third.history[-1].details["kl_left"]
    assert drift <= 0.2


def test_without_an_account_a_sequence_runs_away(
    original: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    model = original
    for start in range(0, 24, 6):
        model = Fisher().unlearn(model, digits[0], hard[start : start + 6])
        model = replace(model, history=(*model.history[:-1], replace(model.history[-1], details={})))
    drift = Drift(ModelFunction(original), digits[0].only(model.ids), seed=0).of(model)
    assert drift > 3 * BUDGET


def test_healing_restores_the_budget() -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=3, batch_size=16), seed=0)
    ids = blobs().ids
    once = Fisher().unlearn(trained, blobs(), ids[:2])
    before = {name: w.clone() for name, w in once.weights.items()}
    with pytest.raises(BudgetSpentError) as caught:
        Fisher().unlearn(once, blobs(), ["nobody"])
    assert len(caught.value.problems) == 3, "it names what else is wrong, too"
    assert isinstance(caught.value, BadInputError)
    assert all(torch.equal(before[name], w) for name, w in once.weights.items())
    healed = Healer(strategy="retain", steps=2).heal(once, retain=blobs().only(once.ids))
    assert Fisher().left(healed) == BUDGET
    twice = Fisher().unlearn(healed, blobs(), ids[2:4])
    assert twice.history[-1].details["kl"] > 0.8 * BUDGET


def test_little_is_left_and_said() -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=3, batch_size=16), seed=0)
    ids = blobs().ids
    once = Fisher(kl_budget=BUDGET / 3).unlearn(trained, blobs(), ids[:2])
    with pytest.warns(UserWarning, match=r"have left 0\.00\d+ of kl_budget=0.05 nats: this one can move the model"):
        Fisher().unlearn(once, blobs(), ids[2:4])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Fisher(kl_budget=1.0).unlearn(once, blobs(), ids[2:4])


def test_a_steward_without_a_healer_stops_in_time() -> None:
    samples, held = blobs(120).split(reserve=40, seed=0)
    spares, test = held.split(reserve=0.5, seed=0)
    trained = fit(tiny_task(), samples, Recipe(epochs=6, batch_size=16), seed=0)

    def steward(healer: Healer | None) -> Steward:
        return Steward(trained, samples, SpareSet(spares, shortfall="partial"), unlearner=Fisher(), healer=healer)

    stream = Stream([Benign()], requests=4)
    alone, cared_for = (endure(steward(healer), stream, test) for healer in (None, Healer()))
    assert len(alone.steps) == 1
    assert "batch 2 was refused" in alone.ended
    assert "heal the model first" in alone.ended
    assert len(cared_for.steps) == 4
    keeper = steward(None)
    keeper.forget(samples.ids[:2])
    kept = keeper.trained
    with pytest.raises(BudgetSpentError):
        keeper.forget(samples.ids[2:4])
    assert keeper.trained is kept
