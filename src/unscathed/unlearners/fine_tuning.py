"""What unlearners that fine-tune have in common: how long, and how fast."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unscathed.problems import Problems
from unscathed.training import Recipe, Trained
from unscathed.unlearners.base import Unlearner


@dataclass(frozen=True, kw_only=True)
class FineTuning(Unlearner):
    """An unlearner that trains on for a while, by the original's recipe.

    Args:
        epochs: passes over the samples that it trains on; give this or ``steps``. By default as many steps as make a
            tenth of the original's training.
        steps: gradient steps.
        learning_rate: its peak, as a share of the original recipe's.
    """

    epochs: float | None = None
    steps: int | None = None
    learning_rate: float = 0.2

    def __post_init__(self) -> None:
        problems = Problems(f"cannot use {type(self).__name__}")
        problems.require(self.epochs is None or self.steps is None, "epochs and steps are both given; give one")
        for name in ("epochs", "steps", "learning_rate"):
            value = getattr(self, name)
            problems.require(value is None or value > 0, f"{name}={value} must be positive")
        problems.extend(self._problems_with_settings())
        problems.raise_any()

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
