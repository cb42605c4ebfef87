"""Short retraining: never having seen the forgotten, at a share of gold's price and somewhat less accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Callback, Trained
from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.retrain import train_anew
from unscathed.unlearners.warm_start import not_a_model, problems_with_start, short_recipe


@dataclass(frozen=True, kw_only=True)
class ShortRetraining(Unlearner):
    """Train again on what is retained, from scratch or from a warm start, for a share of the original's steps.

    The whole schedule is squeezed into them, warm-up and decay included: this is not the head of a long training.
    No weight was ever touched by the forgotten, so nothing of them can be left, hidden or uncovered by healing; what
    is paid is accuracy. Whatever claims to be a cheap approximation should do better than this at its own price.

    A warm start is a model that saw none of the training samples: trained beforehand, once for all requests, on some
    that were held back, or elsewhere. Where features must be learned it makes good for most of the steps that are
    missing (measured: `docs/unlearners.md`). What it was trained on is in the model from then on; whoever of these
    asks to be forgotten needs a new one.

    Args:
        share: of the gradient steps that retraining by the original recipe would take, 0 < share < 1.
        start: the warm start; None to begin from fresh weights.
        learning_rate: its peak, as a share of the recipe's; by default 1 from fresh weights, ½ from a warm start. Fewer
            steps want less.
    """

    share: float = 0.2
    start: Trained | None = None
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        problems = Problems("cannot use ShortRetraining")
        problems.require(
            0 < self.share < 1, f"share={self.share} must lie in 0 < share < 1; for all of the steps, use Retrain"
        )
        rate = self.learning_rate
        problems.require(
            rate is None or (math.isfinite(rate) and rate > 0), f"learning_rate={rate} must be a positive share"
        )
        problems.extend(not_a_model(self.start))
        problems.raise_any()

    @property
    def brings(self) -> tuple[str, ...]:
        """What the warm start was trained on."""
        return self.start.ids if self.start is not None else ()

    def problems_with(self, trained: Trained, samples: Samples, forget: Sequence[str]) -> list[str]:
        """A warm start must be of the same network, and clean."""
        return problems_with_start(self.start, trained, forget)

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        whole = trained.recipe.total_steps(len(samples) - len(forget))
        steps = max(1, round(self.share * whole))
        recipe = short_recipe(trained.recipe, steps, self.start, self.learning_rate)
        return train_anew(trained, samples, forget, recipe, seed, repr(self), callbacks, self.start)
