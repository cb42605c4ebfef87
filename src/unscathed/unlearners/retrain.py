"""Retrain (the paper's Naive): the ideal answer, at the full price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from unscathed.samples import Samples
from unscathed.training import Callback, Trained, fit
from unscathed.unlearners.base import Unlearner


@dataclass(frozen=True, kw_only=True)
class Retrain(Unlearner):
    """Train again from scratch on what is retained: this *is* gold, to the bit.

    ``θ' = fit(D \\ D_u)``, with the recipe and seed of the original. Exact by definition.
    """

    exact = True

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        gold = fit(
            trained.task,
            samples.without(forget),
            trained.recipe,
            seed=seed,
            callbacks=callbacks,
            what="retraining",
        )
        fitted = gold.history[-1]
        event = replace(
            fitted, kind="unlearned", by=repr(self), samples=len(forget), details={**fitted.details, "retrained": True}
        )
        return replace(gold, seed=trained.seed, history=(*trained.history, event))
