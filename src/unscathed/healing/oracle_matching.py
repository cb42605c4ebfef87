"""Oracle matching: answer the forgotten as a model does that never saw them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from unscathed.healing.memory import MemorySignal, shows
from unscathed.healing.remedy import Remedy, check, halfway, joined, told
from unscathed.problems import Problems
from unscathed.samples import Batch, Samples
from unscathed.training import Callback, Event, Teacher, Trained, tune
from unscathed.training.seeds import derive, generator

SHARE_OF_RETAINED = 0.3
"""Of the retained samples, how many go along at least, however few are forgotten: or the model would learn them by
heart."""
HEAVIEST = 8.0
"""How much more a forgotten sample counts than a retained one, at most."""


@dataclass(frozen=True, kw_only=True)
class OracleMatching(Remedy):
    """Where a healed model still knows the forgotten, train it to answer them as the signal's reference does.

    Climbing the loss of the forgotten drives a model away from what it knows, and nothing says where to stop, sample by
    sample: it ends with margins that a model which never saw them would not have. The reference of a `MemorySignal` was
    trained without the forgotten, so its answers are about what gold's would be. The model descends its divergence from
    them on the forgotten, and the task's own loss on retained samples in the same batches; labels of the forgotten are
    not looked at. Where it ends up knowing less than the signal expects, it goes back part of the way.

    Args:
        share: of the original's gradient steps, for a round.
        retained: retained samples for one forgotten sample; where few are forgotten, they count more instead.
        learning_rate: its peak, as a share of the original recipe's.
        rounds: at most; another one follows where memory still shows.
        tolerance: memory that is let pass, as a share of the scores' range.
        utility: how much lower the score on unseen samples may become, likewise; a round that would cost more is not
            kept.

    Raises:
        BadInputError: a setting is out of range.

    Source: Georgiev et al. 2024, "Attribute-to-Delete: Machine Unlearning via Datamodel Matching" (arXiv 2410.23232),
    oracle matching; they predict the oracle's answers by datamodels, here a short training gives them.
    """

    share: float = 0.2
    retained: float = 6.0
    learning_rate: float = 1.0
    rounds: int = 2
    tolerance: float = 0.02
    utility: float = 0.03

    def __post_init__(self) -> None:
        problems = Problems("cannot match an oracle")
        problems.require(self.rounds >= 1, f"rounds={self.rounds} must be at least 1")
        for name in ("share", "retained", "learning_rate"):
            problems.require(getattr(self, name) > 0, f"{name}={getattr(self, name)} must be positive")
        for name in ("tolerance", "utility"):
            problems.require(getattr(self, name) >= 0, f"{name}={getattr(self, name)} must not be negative")
        problems.raise_any()

    @property
    def ceiling(self) -> float:  # type: ignore[override]
        """All rounds, as a share of the original's gradient steps."""
        return self.share * self.rounds

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
        """See `Remedy`; a signal of several references is matched in their mean divergence."""
        started = time.perf_counter()
        known = joined(retain, twins)
        check("match an oracle", healed, forgotten, known)
        assert known is not None
        seed = derive(healed.seed if seed is None else seed, "oracle matching", len(healed.history))
        model, found = healed, signal.of(healed, forgotten)
        least = signal.utility(healed) - self.utility * healed.task.score_range
        memory, steps = [told(found)], 0
        for number in range(self.rounds):
            if not shows(found, healed.task, self.tolerance):
                break
            ahead = self._matched(model, forgotten, known, signal, derive(seed, number), callbacks)
            steps += ahead.history[-1].steps
            reached = signal.of(ahead, forgotten)
            if reached.difference < 0:  # the reference was trained for less than gold, and knows less
                ahead, reached = halfway(model, ahead, signal, forgotten)
            if signal.utility(ahead) < least or abs(reached.difference) >= abs(found.difference):
                break
            model, found = ahead, reached
            memory.append(told(found))
        event = Event(
            kind="healed",
            by=repr(self),
            samples=len(known) if steps else 0,
            steps=steps,
            seconds=time.perf_counter() - started,
            details={
                "forgotten": not shows(found, healed.task, self.tolerance),
                "turns": len(memory) - 1,
                "memory": memory,
            },
        )
        return replace(model, history=(*healed.history, event))

    def _matched(
        self,
        model: Trained,
        forgotten: Samples,
        known: Samples,
        signal: MemorySignal,
        seed: int,
        callbacks: Sequence[Callback],
    ) -> Trained:
        """One round, from the model; its ids stay as they are."""
        count = min(len(known), round(max(self.retained * len(forgotten), SHARE_OF_RETAINED * len(known))))
        chosen = torch.randperm(len(known), generator=generator(seed, "retained"))[: max(1, count)]
        beside = known.at(chosen.sort().values)
        weights = torch.zeros(len(forgotten) + len(beside), 2)
        weights[: len(forgotten), 1] = min(HEAVIEST, max(1.0, len(beside) / (self.retained * len(forgotten))))
        weights[len(forgotten) :, 0] = 1.0
        teachers = [Teacher(reference) for reference in signal.references]

        def both(outputs: Any, batch: Batch) -> Tensor:
            apart = torch.stack([teacher.divergences(outputs, batch) for teacher in teachers]).mean(dim=0)
            return torch.stack([model.task.losses(outputs, batch), apart], dim=1)

        recipe = model.recipe.lasting(steps=max(1, round(self.share * model.history[0].steps)))
        tuned = tune(
            model,
            forgotten + beside,
            replace(recipe, learning_rate=self.learning_rate * model.recipe.learning_rate),
            seed=seed,
            kind="healed",
            by=repr(self),
            callbacks=callbacks,
            what="oracle matching",
            objective=both,
            weights=weights,
        )
        return replace(tuned, ids=model.ids)
