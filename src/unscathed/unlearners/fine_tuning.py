"""What unlearners that fine-tune have in common: how long, and how fast."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from unscathed.curvature import ModelFunction
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Event, Recipe, Trained
from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.budget import in_words
from unscathed.unlearners.drift import Drift
from unscathed.unlearners.trust_region import as_far_as


@dataclass(frozen=True, kw_only=True)
class FineTuning(Unlearner):
    """An unlearner that trains on for a while, by the original's recipe, and never strays from what it may cost.

    Args:
        epochs: passes over the samples that it trains on; give this or ``steps``. By default as many steps as make a
            tenth of the original's training.
        steps: gradient steps.
        learning_rate: its peak, as a share of the original recipe's.
        kl_budget: mean KL divergence on retained samples that this may cost, nats, together with earlier requests since
            the model was last fitted or healed (`Unlearner.left`). What would cost more is undone in part: weights go
            back straight towards the original, until they stay within it, and a warning says how far. None takes what
            came out, collapse included.
    """

    epochs: float | None = None
    steps: int | None = None
    learning_rate: float = 0.2
    kl_budget: float | None = 0.05

    def __post_init__(self) -> None:
        problems = Problems(f"cannot use {type(self).__name__}")
        problems.require(self.epochs is None or self.steps is None, "epochs and steps are both given; give one")
        for name in ("epochs", "steps", "learning_rate", "kl_budget"):
            value = getattr(self, name)
            problems.require(value is None or value > 0, f"{name}={value} must be positive")
        problems.extend(self._problems_with_settings())
        problems.raise_any()

    @property
    def drift_budget(self) -> float | None:
        """`kl_budget`."""
        return self.kl_budget

    def _problems_with_settings(self) -> list[str]:
        """What is wrong with a method's own settings, one sentence each."""
        return []

    def recipe_for(self, trained: Trained, count: int) -> Recipe:
        """The original's recipe for so many samples, shortened and slowed."""
        steps = self.steps
        if steps is None and self.epochs is None:
            steps = max(1, round(0.1 * trained.recipe.total_steps(count)))
        return replace(
            trained.recipe.lasting(epochs=self.epochs, steps=steps),
            learning_rate=self.learning_rate * trained.recipe.learning_rate,
        )

    def settle(
        self,
        trained: Trained,
        tuned: Trained,
        retain: Samples,
        forget: Sequence[str],
        *,
        seed: int,
        started: float,
        steps: int,
        details: dict[str, Any],
    ) -> Trained:
        """What fine-tuning came to, as far as the budget allows, as one event of the original's history.

        Args:
            trained: the original.
            tuned: what it became.
            retain: the retained samples.
            forget: the ids that are gone.
            seed: of which retained samples the drift is measured on.
            started: when, by `time.perf_counter`.
            steps: gradient steps that were made.
            details: what else the history should say.
        """
        move = as_far_as(trained, tuned, Drift(ModelFunction(trained), retain, seed), left := self.left(trained))
        if move.share < 1 and self.kl_budget is not None and left is not None:
            warnings.warn(
                f"{type(self).__name__} kept {move.share:.2g} of its step: the whole would cost "
                f"{move.kl_of_whole:.3g} nats on retained samples, and {in_words(self.kl_budget, left)}",
                stacklevel=4,
            )
        event = Event(
            kind="unlearned",
            by=repr(self),
            samples=len(forget),
            steps=steps,
            seconds=time.perf_counter() - started,
            details={
                **details,
                "share": move.share,
                "kl": move.kl,
                "kl_of_whole_step": move.kl_of_whole,
                "kl_left": left,
            },
        )
        return trained.became(move.reached, event, forget)
