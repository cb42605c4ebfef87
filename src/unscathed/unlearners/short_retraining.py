"""Short retraining: never having seen the forgotten, at a share of gold's price and somewhat less accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Callback, Trained
from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.retrain import train_anew


@dataclass(frozen=True, kw_only=True)
class ShortRetraining(Unlearner):
    """Train again from scratch on what is retained, for a share of the original's steps.

    The whole schedule is squeezed into them, warm-up and decay included: this is not the head of a long training.
    No weight was ever touched by the forgotten, so nothing of them can be left, hidden or uncovered by healing; what
    is paid is accuracy. Whatever claims to be a cheap approximation should do better than this at its own price.

    Args:
        share: of the gradient steps that retraining by the original recipe would take, 0 < share < 1.
    """

    share: float = 0.2

    def __post_init__(self) -> None:
        problems = Problems("cannot use ShortRetraining")
        problems.require(
            0 < self.share < 1, f"share={self.share} must lie in 0 < share < 1; for all of the steps, use Retrain"
        )
        problems.raise_any()

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        whole = trained.recipe.total_steps(len(samples) - len(forget))
        recipe = trained.recipe.lasting(steps=max(1, round(self.share * whole)))
        return train_anew(trained, samples, forget, recipe, seed, repr(self), callbacks)
