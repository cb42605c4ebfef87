"""NegGrad+: climb the loss of what must be forgotten, and descend that of what is retained, at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from unscathed.samples import Samples
from unscathed.training import Callback, Trained, tune
from unscathed.training.seeds import derive
from unscathed.unlearners.fine_tuning import FineTuning


@dataclass(frozen=True, kw_only=True)
class NegGradPlus(FineTuning):
    """Descend ``α L(θ; D_r) - (1 - α) L(θ; D_u)``, with L the mean loss over a set.

    Batches are drawn from both sets together, each sample's loss weighed so that a batch's mean is, on average, this
    objective. The climb has no top: with a small α, or for long, it collapses a model, unless ``kl_budget`` guards it.

    Args:
        alpha: α, how much the retained samples count.
        epochs: passes over all samples, retained and forgotten; give this or ``steps``. By default a tenth of the
            original's training.
        steps: gradient steps.
        learning_rate: its peak, as a share of the original recipe's.
        kl_budget: what it may cost on retained samples, nats (`FineTuning`).

    Source: Kurmanji et al. 2023, "Towards Unbounded Machine Unlearning", section 4 (a baseline of theirs; α was tuned
    for each data set there, and its default is chosen here).
    """

    alpha: float = 0.95

    def _problems_with_settings(self) -> list[str]:
        return [] if 0 <= self.alpha <= 1 else [f"alpha={self.alpha} must lie in 0…1"]

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        started = time.perf_counter()
        forgotten, retain = samples.only(forget), samples.without(forget)
        joined = forgotten + retain
        weights = torch.full((len(joined),), self.alpha * len(joined) / len(retain))
        weights[: len(forgotten)] = (self.alpha - 1) * len(joined) / len(forgotten)
        tuned = tune(
            trained,
            joined,
            self.recipe_for(trained, len(joined)),
            # A second request must not draw the first one's batches again.
            seed=derive(seed, "NegGrad+", len(trained.history)),
            kind="unlearned",
            by=repr(self),
            callbacks=callbacks,
            what="NegGrad+",
            weights=weights,
        )
        return self.settle(
            trained, tuned, retain, forget, seed=seed, started=started, steps=tuned.history[-1].steps, details={}
        )
