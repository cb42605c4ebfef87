"""Gradient ascent: climb the loss of what must be forgotten."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from unscathed.curvature import ModelFunction
from unscathed.problems import Problems
from unscathed.samples import Batch, Samples
from unscathed.training import Callback, DivergedError, Event, Trained, tune
from unscathed.training.loop import Objective
from unscathed.training.seeds import derive
from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.drift import Drift
from unscathed.unlearners.trust_region import Move, as_far_as

MOST_HALVINGS = 12


@dataclass(frozen=True, kw_only=True)
class GradientAscent(Unlearner):
    """Climb the loss of the forget set, ``θ ← θ + η ∇L(θ; D_u)``, pass by pass.

    Nothing holds the rest of the model in place, and the loss has no top: unguarded, this collapses a model to chance,
    and healing then uncovers what was only buried. So a pass that would cost more than ``kl_budget`` on
    retained samples goes only as far as that affords, and is the last; one that is not finite is tried again at half
    the learning rate. The history says how many passes there were, and which share of the last.

    Args:
        epochs: passes over the forget set.
        learning_rate: η, as a share of the original recipe's peak; it stays what it is, without weight decay.
        kl_budget: mean KL divergence on retained samples that the ascent may cost, nats, together with earlier requests
            since the model was last fitted or healed (`Unlearner.left`); None lets it climb, collapse included.

    Source: Graves et al. 2021, "Amnesiac Machine Learning"; Thudi et al. 2022, "Unrolling SGD", whose first-order
    expansion this undoes.
    """

    epochs: int = 5
    learning_rate: float = 0.2
    kl_budget: float | None = 0.05

    def __post_init__(self) -> None:
        problems = Problems("cannot use GradientAscent")
        for name in ("epochs", "learning_rate", "kl_budget"):
            value = getattr(self, name)
            problems.require(value is None or value > 0, f"{name}={value} must be positive")
        problems.raise_any()

    @property
    def drift_budget(self) -> float | None:
        """`kl_budget`."""
        return self.kl_budget

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        started = time.perf_counter()
        forgotten = samples.only(forget)
        drift = Drift(ModelFunction(trained), samples.without(forget), seed)
        rate, left = self.learning_rate * trained.recipe.learning_rate, self.left(trained)
        move, steps, passes, halvings = Move(trained, 1.0, 0.0, 0.0), 0, 0, 0
        while passes < self.epochs and move.share == 1 and halvings <= MOST_HALVINGS:
            recipe = replace(
                trained.recipe.lasting(epochs=1), schedule="constant", learning_rate=rate, weight_decay=0.0
            )
            steps += recipe.total_steps(len(forgotten))
            try:
                ahead = tune(
                    move.reached,
                    forgotten,
                    recipe,
                    # A second request must not go through its samples in the first one's order.
                    seed=derive(seed, "gradient ascent", len(trained.history), passes),
                    kind="unlearned",
                    by=repr(self),
                    callbacks=callbacks,
                    what="gradient ascent",
                    objective=climbing(trained),
                )
            except DivergedError:
                if self.kl_budget is None:
                    raise
                rate, halvings = rate / 2, halvings + 1
                continue
            move, passes = as_far_as(move.reached, ahead, drift, left), passes + 1
        event = Event(
            kind="unlearned",
            by=repr(self),
            samples=len(forget),
            steps=steps,
            seconds=time.perf_counter() - started,
            details={
                "passes": passes,
                "share_of_last": move.share,
                "halvings": halvings,
                "learning_rate": rate,
                "kl": move.kl,
                "kl_left": left,
            },
        )
        return trained.became(move.reached, event, forget)


def climbing(trained: Trained) -> Objective:
    """The objective whose descent climbs the task's losses."""

    def objective(outputs: Any, batch: Batch) -> Tensor:
        return -trained.task.losses(outputs, batch)

    return objective
