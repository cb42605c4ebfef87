from collections.abc import Callable

import pytest
from tests.support import blobs, tiny_task

from unscathed import BadInputError, Fisher, Healer, Recipe, Sisa, Trained, fit
from unscathed.healing import Until

SAMPLES = blobs(60)
FORGET = SAMPLES.ids[:6]
RETAIN = SAMPLES.without(FORGET)
TWINS, HELD_OUT = blobs(6, seed=7), blobs(200, seed=9)
RECIPE = Recipe(epochs=40, batch_size=8)


@pytest.fixture(scope="module")
def damaged() -> Trained:
    return Fisher(kl_budget=0.3).unlearn(fit(tiny_task(), SAMPLES, RECIPE, seed=0), SAMPLES, FORGET)


def steps_of(until: Until, scores: list[float], model: Trained, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of the rounds, where held-out scores come as listed."""
    left = iter(scores)
    monkeypatch.setattr(Trained, "score", lambda *_: next(left))
    _, total, told = until.rounds(model, HELD_OUT, lambda m, steps, number: (m, steps))
    assert total == sum(r["steps"] for r in told)
    return [r["steps"] for r in told]


def test_rounds_double_what_was_spent_up_to_the_ceiling(damaged: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    assert damaged.history[0].steps == 280
    rising = [0.1 * n for n in range(9)]
    assert steps_of(Until(first=0.05, ceiling=0.5), rising, damaged, monkeypatch) == [14, 14, 28, 56, 28]


def test_it_stops_at_the_target_or_where_nothing_rises(damaged: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    assert steps_of(Until(target=0.9), [0.95], damaged, monkeypatch) == []
    assert steps_of(Until(target=0.9), [0.5, 0.8, 0.91], damaged, monkeypatch) == [14, 14]
    assert steps_of(Until(), [0.5, 0.9, 0.9], damaged, monkeypatch) == [14, 14]
    # A target is a promise: what stands still for a round may rise in the next, which is longer.
    assert len(steps_of(Until(target=0.9), [0.5] * 9, damaged, monkeypatch)) == 5


@pytest.mark.parametrize("fit_with", [lambda: None, lambda: Sisa(shards=2, slices=1)])
def test_the_best_round_is_kept_and_all_rounds_are_told(fit_with: Callable[[], Sisa | None], damaged: Trained) -> None:
    sisa = fit_with()
    model = sisa.unlearn(sisa.fit(tiny_task(), SAMPLES, RECIPE, seed=0), SAMPLES, FORGET) if sisa else damaged
    healed = Healer(until=Until(target=2.0, ceiling=0.3)).heal(model, retain=RETAIN, twins=TWINS, held_out=HELD_OUT)
    event = healed.history[-1]
    assert event.kind == "healed"
    assert len(healed.history) == len(model.history) + 1
    assert event.steps == sum(r["steps"] for r in event.details["rounds"]) >= 0.3 * model.history[0].steps - 2
    assert healed.score(HELD_OUT) == pytest.approx(max(r["score"] for r in event.details["rounds"]))
    assert set(TWINS.ids) <= set(healed.ids)


def test_a_model_that_is_whole_already_is_left_alone(damaged: Trained) -> None:
    healed = Healer(until=Until(target=0.0)).heal(damaged, retain=RETAIN, twins=TWINS, held_out=HELD_OUT)
    assert healed.history[-1].steps == 0
    assert healed.ids == damaged.ids, "no twin was trained on"


def test_what_until_lacks_is_named(damaged: Trained) -> None:
    with pytest.raises(BadInputError, match="give held_out="):
        Healer(until=Until()).heal(damaged, retain=RETAIN, twins=TWINS)
    with pytest.raises(BadInputError, match="54 held-out samples are healed on"):
        Healer(until=Until()).heal(damaged, retain=RETAIN, twins=TWINS, held_out=RETAIN)
    with pytest.raises(BadInputError, match="steps and until are given together"):
        Healer(steps=1, until=Until())
    with pytest.raises(BadInputError, match="0 < first ≤ ceiling"):
        Until(first=0.6)
