from typing import Any

import pytest
from tests.support import NoOp

from unscathed import BadInputError, Healer, Samples, Sisa, SpareSet, Steward, Trained, Watchful
from unscathed.healing import Alternation

Digits = tuple[Samples, Samples, Samples]
ALONE = Healer(strategy="retain", steps=30)


def healed(unlearned: Trained, original: Trained, digits: Digits, forget: tuple[str, ...], **changes: Any) -> Trained:
    samples, spares, test = digits
    given = {"before": original, "held_out": spares + test, "forgotten": samples.only(forget)}
    return Watchful(healer=ALONE).heal(unlearned, retain=samples.without(forget), **{**given, **changes})


def test_what_never_forgot_is_seen_and_forgets_by_turns(
    original: Trained, gold: Trained, digits: Digits, hard: tuple[str, ...]
) -> None:
    forgotten = digits[0].only(hard)
    kept = healed(NoOp().unlearn(original, digits[0], hard), original, digits, hard)
    details = kept.history[-1].details
    assert details["remembered"]["low"] > 0
    assert details["turns"] >= 1
    # A quarter of the way from the original to gold, at the least.
    assert kept.score(forgotten) < 0.75 * original.score(forgotten) + 0.25 * gold.score(forgotten)
    assert kept.score(digits[2]) > gold.score(digits[2]) - 0.03
    assert len(kept.history) == len(original.history) + 2
    assert kept.history[-1].steps > ALONE.steps + details["signal_steps"]  # type: ignore[operator]
    assert not set(hard) & set(kept.ids)


def test_gold_is_left_alone(original: Trained, gold: Trained, digits: Digits, hard: tuple[str, ...]) -> None:
    details = healed(gold, original, digits, hard).history[-1].details
    assert details["forgotten"]
    assert "turns" not in details


def test_a_steward_gives_it_what_it_looks_at(original: Trained, digits: Digits, hard: tuple[str, ...]) -> None:
    reserve = SpareSet(digits[1], shortfall="partial")
    healer = Watchful(healer=Healer(steps=30), remedy=Alternation(rounds=1))
    steward = Steward(original, digits[0], reserve, unlearner=NoOp(), healer=healer, test=digits[2])
    outcome = steward.forget(hard)
    details = outcome.history[-1].details
    assert {"remembered", "twins", "signal_steps"} <= details.keys()
    assert set(outcome.trained.ids) - set(digits[0].ids) == set(reserve.spent)


def test_a_model_in_shards_is_healed_without_a_look(original: Trained, digits: Digits, hard: tuple[str, ...]) -> None:
    sisa = Sisa(shards=2, slices=1)
    trained = sisa.fit(original.task, digits[0], original.recipe.lasting(epochs=1), seed=0)
    unlearned = sisa.unlearn(trained, digits[0], hard)
    assert "remembered" not in healed(unlearned, trained, digits, hard).history[-1].details


def test_all_that_it_misses_is_named(original: Trained, gold: Trained, digits: Digits, hard: tuple[str, ...]) -> None:
    with pytest.raises(BadInputError) as caught:
        healed(gold, original, digits, hard, before=None, held_out=None, forgotten=None)
    assert all(f"give {name}=" in str(caught.value) for name in ("before", "held_out", "forgotten"))
