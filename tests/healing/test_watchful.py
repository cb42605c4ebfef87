from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from tests.support import NoOp, digit_setup

from unscathed import BadInputError, Healer, Retrain, Samples, SpareSet, Steward, Trained, Watchful, fit
from unscathed.adversaries import OutputAware, OutputView
from unscathed.healing import Alternation

HEALER = Healer(steps=30)


@cache
def digits() -> tuple[Trained, Samples, Samples, Samples, tuple[str, ...]]:
    """A model, what it was trained on, spares, test samples, and a request for what it knows by heart."""
    setup = digit_setup()
    samples, spares = setup.samples.split(reserve=0.3, seed=0)
    trained = fit(setup.task, samples, setup.recipe, seed=0)
    return trained, samples, spares, setup.test, tuple(OutputAware(0.06).choose(OutputView(trained, samples)))


def healed(unlearned: Trained, **changes: Any) -> Trained:
    before, samples, spares, _, forget = digits()
    given = {"retain": samples.without(forget), "before": before, "held_out": spares, "forgotten": samples.only(forget)}
    healer = Watchful(healer=replace(HEALER, strategy="retain"))
    return healer.heal(unlearned, **{**given, **changes})


def test_what_never_forgot_is_seen_and_forgets_by_turns() -> None:
    before, samples, _, test, forget = digits()
    kept = healed(NoOp().unlearn(before, samples, forget))
    details = kept.history[-1].details
    assert details["remembered"]["low"] > 0
    assert details["turns"] >= 1
    assert kept.score(samples.only(forget)) < details["remembered"]["score"]
    assert details["forgotten"] == (
        details["memory"][-1]["low"] <= 0 or details["memory"][-1]["score"] - details["memory"][-1]["expected"] <= 0.02
    )
    assert kept.score(test) > 0.9
    assert len(kept.history) == len(before.history) + 2
    assert kept.history[-1].steps >= 30 + details["signal_steps"]
    assert not set(forget) & set(kept.ids)


def test_gold_is_left_alone() -> None:
    before, samples, _, _, forget = digits()
    kept = healed(Retrain().unlearn(before, samples, forget))
    details = kept.history[-1].details
    assert details["forgotten"]
    assert "turns" not in details


def test_a_steward_gives_it_what_it_looks_at() -> None:
    before, samples, spares, test, forget = digits()
    healer = Watchful(healer=HEALER, alternation=Alternation(rounds=2))
    reserve = SpareSet(spares, shortfall="partial")
    steward = Steward(before, samples, reserve, unlearner=NoOp(), healer=healer, test=test)
    outcome = steward.forget(forget)
    assert outcome.history[-1].details["turns"] >= 1
    assert set(outcome.trained.ids) - set(samples.ids) == set(reserve.spent)


def test_all_that_it_misses_is_named() -> None:
    before, samples, _, _, forget = digits()
    with pytest.raises(BadInputError) as caught:
        healed(NoOp().unlearn(before, samples, forget), before=None, held_out=None, forgotten=None)
    assert all(f"give {name}=" in str(caught.value) for name in ("before", "held_out", "forgotten"))
