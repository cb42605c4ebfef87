"""Retrain (the paper's Naive): the ideal answer, at the full price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from unscathed.samples import Samples
from unscathed.training import Callback, Recipe, Trained
from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.warm_start import train_from


@dataclass(frozen=True, kw_only=True)
class Retrain(Unlearner):
    """Train again from scratch on what is retained: this *is* gold, to the bit.

    ``θ' = fit(D \\ D_u)``, with the recipe and seed of the original. Exact by definition.
    """

    exact = True

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        return train_anew(trained, samples, forget, trained.recipe, seed, repr(self), callbacks)


def train_anew(
    trained: Trained,
    samples: Samples,
    forget: list[str],
    recipe: Recipe,
    seed: int,
    by: str,
    callbacks: Sequence[Callback],
    start: Trained | None = None,
) -> Trained:
    """A model that was trained anew on what is retained; its history goes on, and its recipe stays.

    Args:
        trained: the model before.
        samples: what it was trained on.
        forget: the ids to forget.
        recipe: of the training.
        seed: of the training; the model keeps its own, for later requests.
        by: who does it, for the history.
        callbacks: progress.
        start: a warm start to go on from; by default fresh weights.
    """
    retain = samples.without(forget)
    new = train_from(start, trained, retain, recipe, seed=seed, callbacks=callbacks, what="retraining")
    fitted = new.history[-1]
    event = replace(fitted, kind="unlearned", by=by, samples=len(forget), details={**fitted.details, "retrained": True})
    return replace(new, recipe=trained.recipe, seed=trained.seed, history=(*trained.history, event))
