"""Alternation: unlearning and healing by turns, until nothing is remembered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from unscathed.healing.base import steps_since
from unscathed.healing.healer import Healer
from unscathed.healing.memory import MemorySignal, shows
from unscathed.healing.remedy import Remedy, check, halfway, joined, told
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Callback, Event, Trained
from unscathed.training.seeds import derive
from unscathed.unlearners import NegGradPlus, Unlearner

STRONGEST = 4
"""Times that the forgotten may count more than in the first turn."""


@dataclass(frozen=True, kw_only=True)
class Alternation(Remedy):
    """Where a healed model still knows the forgotten, unlearn and heal by turns, a little each.

    Healing uncovers what an unlearner only hid, and more healing uncovers more. Here a turn unlearns by
    `NegGradPlus`, which climbs on the forgotten while it descends on the rest, and heals for two thirds as long,
    gently: longer or more forceful healing brings back what the turn took. After each turn, the signal is asked. Turns
    begin where it shows memory beyond chance, and end where what it says is tolerated. Where one takes less than a
    quarter of what is remembered, the forgotten count twice as much in the next (at most four times); one that takes
    too much is taken back in part.

    Args:
        unlearner: for a turn, the same in all; by default `NegGradPlus` for 3 % of the original's gradient steps,
            without a budget.
        healer: for a turn; by default 2 % of the original's steps on all that is at hand, at half of `Healer`'s rate.
        rounds: turns, at most.
        ceiling: gradient steps, at most, as a share of the original's.
        tolerance: memory that is let pass, as a share of the scores' range.
        utility: how much lower the score on unseen samples may become, likewise; a turn that would cost more ends them.
    """

    unlearner: Unlearner | None = None
    healer: Healer | None = None
    rounds: int = 8
    ceiling: float = 0.3
    tolerance: float = 0.02
    utility: float = 0.03

    def __post_init__(self) -> None:
        problems = Problems("cannot alternate")
        problems.require(self.rounds >= 1, f"rounds={self.rounds} must be at least 1")
        problems.require(self.ceiling > 0, f"ceiling={self.ceiling} must be positive")
        for name in ("tolerance", "utility"):
            problems.require(getattr(self, name) >= 0, f"{name}={getattr(self, name)} must not be negative")
        problems.raise_any()

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
        """See `Remedy`; the model of the turn that comes nearest to what is expected is returned.

        Only the unlearner sees the forgotten.
        """
        started = time.perf_counter()
        known = joined(retain, twins)
        whole = healed.history[0].steps if healed.history else 0
        check("alternate unlearning and healing", healed, forgotten, known)
        assert known is not None
        seed = derive(healed.seed if seed is None else seed, "alternation", len(healed.history))
        healer = self.healer or Healer(strategy="retain", steps=max(1, round(0.02 * whole)), learning_rate=0.1)
        found = signal.of(healed, forgotten)
        model, best, nearest = healed, healed, found
        least = signal.utility(healed) - self.utility * healed.task.score_range
        memory, force, steps, cost = [told(found)], 1, 0, 0
        rounds = self.rounds if shows(found, healed.task, self.tolerance) else 0
        for turn in range(rounds):
            # A turn costs what the last one did: one that cannot be paid for is not begun.
            if found.difference <= self.tolerance * healed.task.score_range or steps + cost > self.ceiling * whole:
                break
            unlearner = self.unlearner or NegGradPlus(
                alpha=1 - 0.05 * min(force, STRONGEST), steps=max(1, round(0.03 * whole)), kl_budget=None
            )
            inside = set(model.ids)
            ahead = replace(model, ids=(*model.ids, *(i for i in forgotten.ids if i not in inside)))
            own = derive(seed, turn)
            ahead = unlearner.unlearn(ahead, known + forgotten, forgotten.ids, seed=own, callbacks=callbacks)
            # What the reserve gave is in the model by now: to the healer it is retained, like all that stays.
            kept, extra = (known, None) if healer.uses_retain else (None, known)
            ahead = healer.heal(ahead, retain=kept, twins=extra, seed=own, callbacks=callbacks)
            cost = steps_since(model, ahead)
            steps += cost
            if steps > self.ceiling * whole:
                break
            last, found = found, signal.of(ahead, forgotten)
            if found.difference < 0:
                ahead, found = halfway(model, ahead, signal, forgotten)
            if signal.utility(ahead) < least:
                break
            model = ahead
            memory.append(told(found))
            if abs(found.difference) < abs(nearest.difference):
                best, nearest = model, found
            force *= 2 if found.difference > 0.75 * last.difference else 1
        done = not shows(nearest, healed.task, self.tolerance)
        event = Event(
            kind="healed",
            by=repr(self),
            samples=len(known) if steps else 0,
            steps=steps,
            seconds=time.perf_counter() - started,
            details={"forgotten": done, "turns": len(memory) - 1, "memory": memory},
        )
        return replace(best, history=(*healed.history, event))
