"""Watchful: healing that looks whether the forgotten come back, and does something about it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from unscathed.healing.base import HealingMethod, steps_since
from unscathed.healing.healer import Healer
from unscathed.healing.memory import MemorySignal, shows
from unscathed.healing.oracle_matching import OracleMatching
from unscathed.healing.remedy import Remedy
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Callback, Event, Trained


@dataclass(frozen=True, kw_only=True)
class Watchful(HealingMethod):
    """Heal, look whether memory of the forgotten shows, and if so take it away.

    An unlearner may only have hidden what it should have removed, and healing uncovers it. There is no gold to tell by,
    so a `MemorySignal` does; it costs a tenth of the original's steps, and stands in the history with what it saw.
    Models in shards forget exactly, and are healed without a look.

    Args:
        healer: heals.
        remedy: takes memory away where it shows: `OracleMatching`, or `Alternation`.
    """

    healer: HealingMethod = field(default_factory=Healer)
    remedy: Remedy = field(default_factory=OracleMatching)

    @property
    def uses_twins(self) -> bool:
        """Whether the healer trains on twins."""
        return self.healer.uses_twins

    @property
    def uses_retain(self) -> bool:
        """Whether the healer trains on retained samples."""
        return self.healer.uses_retain

    @property
    def needs_before(self) -> bool:
        """Always: whoever tells memory takes its task and recipe."""
        return True

    @property
    def needs_held_out(self) -> bool:
        """Always: what was never seen is what the forgotten should look like."""
        return True

    @property
    def needs_forgotten(self) -> bool:
        """Always."""
        return True

    @property
    def draws_spares(self) -> bool:
        """Whether the healer does."""
        return self.healer.draws_spares

    @property
    def brings(self) -> tuple[str, ...]:
        """What the healer does."""
        return self.healer.brings

    def heal(
        self,
        unlearned: Trained,
        *,
        retain: Samples | None = None,
        twins: Samples | None = None,
        before: Trained | None = None,
        held_out: Samples | None = None,
        forgotten: Samples | None = None,
        spares: Samples | None = None,
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Trained:
        """Heal, watch, and take away what shows; returns a new model, with all of it as one event.

        The event's details have the healer's, what was ``"remembered"`` after it (score, expected score, interval of
        the difference), what each turn made of that, and whether the forgotten are ``"forgotten"``.

        Args:
            unlearned: the model; it is not changed.
            retain: the samples that stay.
            twins: the spares that stand in for the forgotten.
            before: the model before unlearning.
            held_out: samples never seen, of the forgotten samples' kind.
            forgotten: what must not be remembered; nothing is healed on it.
            spares: for the healer's guard.
            seed: by default the model's own.
            callbacks: progress.

        Raises:
            BadInputError: what is looked at is missing, or the healer misses something.
        """
        started = time.perf_counter()
        problems = Problems("cannot heal watchfully")
        for name, given in (("before", before), ("held_out", held_out), ("forgotten", forgotten)):
            problems.require(given is not None, f"there is nothing to tell memory by: give {name}=…")
        problems.raise_any()
        assert before is not None
        assert held_out is not None
        assert forgotten is not None
        healed = self.healer.heal(
            unlearned,
            retain=retain,
            twins=twins,
            before=before,
            held_out=held_out,
            spares=spares,
            seed=seed,
            callbacks=callbacks,
        )
        if unlearned.shards:
            return healed
        signal = MemorySignal.fit(before, unseen=held_out, retain=retain, seed=seed, callbacks=callbacks)
        found = signal.of(healed, forgotten)
        details: dict[str, Any] = {
            **healed.history[-1].details,
            "remembered": {"score": found.value, "expected": found.reference, "low": found.low, "high": found.high},
            "signal_steps": signal.steps,
            "forgotten": True,
        }
        steps = signal.steps + steps_since(unlearned, healed)
        if shows(found, healed.task, self.remedy.tolerance):
            healed = self.remedy.heal(
                healed,
                forgotten=forgotten,
                signal=signal,
                retain=retain,
                twins=_healed_on(healed, twins, spares),
                seed=seed,
                callbacks=callbacks,
            )
            turns = healed.history[-1]
            steps += turns.steps
            details |= {name: turns.details[name] for name in ("forgotten", "turns", "memory")}
        event = Event(
            kind="healed",
            by=repr(self),
            samples=healed.history[len(unlearned.history)].samples,
            steps=steps,
            seconds=time.perf_counter() - started,
            details=details,
        )
        return replace(healed, history=(*unlearned.history, event))


def _healed_on(healed: Trained, *pools: Samples | None) -> Samples | None:
    """What the reserve gave: those of some samples that are in the model."""
    inside, found = set(healed.ids), None
    for pool in pools:
        part = pool.only([i for i in pool.ids if i in inside]) if pool is not None else None
        if part is not None and len(part):
            found = part if found is None else found + part
    return found
