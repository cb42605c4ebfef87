"""Remedy: what takes memory away from a healed model that a signal says still knows the forgotten."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from unscathed.audit.intervals import Difference
from unscathed.healing.memory import MemorySignal
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Callback, Trained
from unscathed.unlearners.trust_region import between

HALVINGS = 5
"""Of a way that took too much."""


class Remedy(ABC):
    """Takes away what a healed model still knows of the forgotten, as far as a signal without gold can tell.

    Args:
        tolerance: memory that is let pass, as a share of the scores' range.
        ceiling: gradient steps, at most, as a share of the original's.
    """

    tolerance: float
    ceiling: float

    @abstractmethod
    def heal(
        self,
        healed: Trained,
        *,
        forgotten: Samples,
        signal: MemorySignal,
        retain: Samples | None = None,
        twins: Samples | None = None,
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Trained:
        """Take memory away; returns a new model, or the same weights where none shows.

        What was done is one event of its history. Its ``details`` say what was remembered at first and after each turn
        (``"memory"``: score, expected score, interval of the difference), how many turns were kept (``"turns"``), and
        whether it is ``"forgotten"``, for an escalation to take over where it is not.

        Args:
            healed: the model, healed once; it is not changed.
            forgotten: what must not be remembered.
            signal: see `MemorySignal`.
            retain: the samples that stay.
            twins: what the model was healed on besides; the only ones where there are no retained samples.
            seed: by default the model's own.
            callbacks: progress.

        Raises:
            BadInputError: nothing is retained, the forgotten are retained, or the model is in shards.
        """


def check(what: str, healed: Trained, forgotten: Samples, known: Samples | None) -> None:
    """Whether there is something to take away, and something to hold the model in place.

    Raises:
        BadInputError: there is not.
    """
    problems = Problems(f"cannot {what}")
    problems.require(len(forgotten) > 0, "there are no forgotten samples")
    problems.require(
        bool(healed.history) and healed.history[0].steps > 0,
        "the model has no history to take a duration from; give a model made by fit",
    )
    problems.require(
        not healed.shards, "the model is in shards, and the Sisa that trained it forgets exactly: use that"
    )
    if problems.require(
        known is not None, "there is nothing to hold the model in place; give retain=…, or the twins=… in it"
    ):
        assert known is not None
        both = set(known.ids) & set(forgotten.ids)
        problems.require(not both, f"{len(both)} of the forgotten are among the retained samples; take them out")
        foreign = set(known.ids) - set(healed.ids)
        problems.require(
            not foreign,
            f"{len(foreign)} samples are not in the model: give those that stay, and twins that it was healed on",
        )
    problems.raise_any()


def halfway(before: Trained, after: Trained, signal: MemorySignal, forgotten: Samples) -> tuple[Trained, Difference]:
    """Between a model that knows too much and one that knows less than if it had never seen them: neither.

    The straight line between their weights is halved until the signal is 0 or nearly so; the way is short, and what
    lies on the line is as good as its ends.

    Args:
        before: the one that knows too much.
        after: the other.
        signal: what tells.
        forgotten: what should not be known.
    """
    low, high = 0.0, 1.0
    best = after, signal.of(after, forgotten)
    for _ in range(HALVINGS):
        share = (low + high) / 2
        mixed = between(before, after, share)
        found = signal.of(mixed, forgotten)
        if abs(found.difference) < abs(best[1].difference):
            best = mixed, found
        low, high = (share, high) if found.difference > 0 else (low, share)
    return best


def joined(retain: Samples | None, twins: Samples | None) -> Samples | None:
    """What stays: the retained samples and the twins, each once."""
    if retain is None or twins is None:
        return retain if twins is None else twins
    return retain.without(set(twins.ids) & set(retain.ids)) + twins


def told(found: Difference) -> dict[str, float]:
    """A signal, for the history."""
    values = {"score": found.value, "expected": found.reference, "low": found.low, "high": found.high}
    return {name: round(value, 4) for name, value in values.items()}
