from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from tests.support import NoOp, RandomWeights

from unscathed import (
    BadInputError,
    Callback,
    GradientAscent,
    Healer,
    Retrain,
    Samples,
    Sisa,
    Trained,
)
from unscathed.adversaries import OutputAware, OutputView
from unscathed.healing import Alternation, MemorySignal
from unscathed.healing.memory import shows

Digits = tuple[Samples, Samples, Samples]


@dataclass
class Case:
    healed: Trained
    gold: Trained
    forgotten: Samples
    left: Samples
    signal: MemorySignal
    test: Samples


@pytest.fixture(scope="module")
def case(digits: Digits, original: Trained) -> Case:
    """Collapsed and healed: what the ascent only hid is back."""
    samples, spares, test = digits
    hard = OutputAware(0.05).choose(OutputView(original, samples))
    left = samples.without(hard)
    gold = Retrain().unlearn(original, samples, hard)
    collapsed = GradientAscent(kl_budget=None, learning_rate=0.5).unlearn(original, samples, hard)
    healed = Healer(strategy="retain").heal(collapsed, retain=left)
    signal = MemorySignal.fit(original, retain=left, unseen=spares + test)
    return Case(healed, gold, samples.only(hard), left, signal, test)


def test_turns_forget_what_healing_brought_back(case: Case) -> None:
    gold = case.gold
    at_first = case.signal.of(case.healed, case.forgotten)
    assert shows(at_first, gold.task, 0.02), "healing uncovered it"
    turned = Alternation().heal(case.healed, forgotten=case.forgotten, signal=case.signal, retain=case.left)
    assert not shows(case.signal.of(turned, case.forgotten), gold.task, 0.02)
    assert turned.score(case.forgotten) - gold.score(case.forgotten) < 0.2
    assert case.healed.score(case.forgotten) - gold.score(case.forgotten) > 0.3
    assert turned.score(case.test) > case.healed.score(case.test) - 0.04

    event = turned.history[-1]
    assert turned.history[:-1] == case.healed.history, "all turns are one event"
    assert event.details["forgotten"] is True
    assert event.details["turns"] == len(event.details["memory"]) - 1 >= 1
    assert event.details["memory"][0]["score"] == pytest.approx(case.healed.score(case.forgotten), abs=1e-3)
    assert 0 < event.steps <= 0.3 * case.healed.history[0].steps
    assert set(turned.ids) == set(case.healed.ids)


def test_gold_is_left_as_it_is(case: Case) -> None:
    gold = case.gold
    turned = Alternation().heal(gold, forgotten=case.forgotten, signal=case.signal, retain=case.left)
    assert all(torch.equal(turned.weights[n], gold.weights[n]) for n in gold.weights)
    assert turned.history[-1].details["turns"] == turned.history[-1].steps == turned.history[-1].samples == 0
    assert turned.history[-1].details["forgotten"] is True


def test_what_stays_remembered_is_said_so(case: Case) -> None:
    never = Alternation(unlearner=NoOp(), rounds=2).heal(
        case.healed, forgotten=case.forgotten, signal=case.signal, retain=case.left
    )
    assert never.history[-1].details["forgotten"] is False
    assert len(never.history[-1].details["memory"]) == 3
    tight = Alternation(ceiling=0.01).heal(case.healed, forgotten=case.forgotten, signal=case.signal, retain=case.left)
    assert (tight.history[-1].details["forgotten"], tight.history[-1].details["turns"]) == (False, 0)
    assert all(torch.equal(tight.weights[n], case.healed.weights[n]) for n in tight.weights)


@dataclass(frozen=True, kw_only=True)
class Spy(Healer):
    """Notes what it was given to train on."""

    def heal(
        self,
        unlearned: Trained,
        *,
        retain: Samples | None = None,
        twins: Samples | None = None,
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Trained:
        SEEN.update(retain.ids if retain is not None else (), twins.ids if twins is not None else ())
        assert not set(unlearned.ids) & FORBIDDEN
        return super().heal(unlearned, retain=retain, twins=twins, seed=seed, callbacks=callbacks)


SEEN: set[str] = set()
FORBIDDEN: set[str] = set()


@pytest.mark.parametrize("strategy", ["retain", "twins"])
def test_the_forgotten_are_never_healed_on(case: Case, digits: Digits, strategy: str) -> None:
    SEEN.clear()
    FORBIDDEN.update(case.forgotten.ids)
    twins = digits[1].only(digits[1].ids[:40])
    healed = replace(case.healed, ids=(*case.healed.ids, *twins.ids))
    healer = Spy(strategy=strategy, steps=2)  # type: ignore[arg-type]
    retain = case.left if strategy == "retain" else None
    Alternation(healer=healer, rounds=1).heal(
        healed, forgotten=case.forgotten, signal=case.signal, retain=retain, twins=twins
    )
    assert set(twins.ids) <= SEEN
    assert (set(case.left.ids) <= SEEN) == (strategy == "retain")
    assert not SEEN & FORBIDDEN


def test_turns_repeat_themselves(case: Case) -> None:
    turns = Alternation(rounds=1)
    one, other = (
        turns.heal(case.healed, forgotten=case.forgotten, signal=case.signal, retain=case.left) for _ in range(2)
    )
    assert all(torch.equal(one.weights[n], other.weights[n]) for n in one.weights)
    third = turns.heal(case.healed, forgotten=case.forgotten, signal=case.signal, retain=case.left, seed=5)
    assert any(not torch.equal(one.weights[n], third.weights[n]) for n in one.weights)


def test_any_unlearner_serves(case: Case) -> None:
    """The strongest forgets in one turn, at a price that is above the ordinary ceiling."""
    paid = Alternation(unlearner=Retrain(), ceiling=2.0, rounds=1).heal(
        case.healed, forgotten=case.forgotten, signal=case.signal, retain=case.left
    )
    assert (paid.history[-1].details["turns"], paid.history[-1].details["forgotten"]) == (1, True)
    assert paid.history[-1].steps > 0.9 * case.healed.history[0].steps


def test_turns_may_not_ruin_the_model(case: Case) -> None:
    kept = Alternation(unlearner=RandomWeights()).heal(
        case.healed, forgotten=case.forgotten, signal=case.signal, retain=case.left
    )
    assert (kept.history[-1].details["turns"], kept.history[-1].details["forgotten"]) == (0, False)
    assert kept.history[-1].steps > 0, "it was tried, and paid for"
    assert all(torch.equal(kept.weights[n], case.healed.weights[n]) for n in kept.weights)


def test_what_is_missing_is_named(case: Case, digits: Digits) -> None:
    with pytest.raises(BadInputError, match="nothing to hold the model in place"):
        Alternation().heal(case.healed, forgotten=case.forgotten, signal=case.signal)
    with pytest.raises(BadInputError, match="of the forgotten are among the retained"):
        Alternation().heal(case.healed, forgotten=case.forgotten, signal=case.signal, retain=digits[0])
    with pytest.raises(BadInputError, match="are not in the model"):
        Alternation().heal(case.healed, forgotten=case.forgotten, signal=case.signal, retain=digits[1])
    with pytest.raises(BadInputError, match="no history to take a duration from"):
        Alternation().heal(
            replace(case.healed, history=()), forgotten=case.forgotten, signal=case.signal, retain=case.left
        )
    sharded = replace(case.healed, shards=((case.healed.ids,),))
    with pytest.raises(BadInputError, match=type(Sisa()).__name__):
        Alternation().heal(sharded, forgotten=case.forgotten, signal=case.signal, retain=case.left)
    with pytest.raises(BadInputError, match="3 problems"):
        Alternation(rounds=0, ceiling=0, tolerance=-1)
