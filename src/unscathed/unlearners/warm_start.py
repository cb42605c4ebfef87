"""Warm start: a model that saw nothing of what may have to be forgotten, from which training anew is shorter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unscathed.problems import some
from unscathed.samples import Samples
from unscathed.training import Callback, Recipe, Trained, fit, tune

RATE = 0.5
"""Of the recipe's learning rate: a higher one destroys the features that a warm start is for."""


def train_from(
    start: Trained | None,
    trained: Trained,
    samples: Samples,
    recipe: Recipe,
    *,
    seed: int,
    callbacks: Sequence[Callback],
    what: str,
) -> Trained:
    """A model that was trained on samples, from a warm start or from fresh weights.

    It holds the samples, and what the warm start was trained on.

    Args:
        start: the warm start; None for fresh weights.
        trained: the model whose task, and whose device and precision, are taken.
        samples: what to train on.
        recipe: how.
        seed: of what is drawn at random.
        callbacks: progress.
        what: the job's name, for callbacks.
    """
    if start is None:
        return fit(trained.task, samples, recipe, seed=seed, callbacks=callbacks, what=what)
    own = replace(start, task=trained.task, recipe=recipe)
    return tune(own, samples, recipe, seed=seed, kind="fitted", by="a warm start", callbacks=callbacks, what=what)


def short_recipe(recipe: Recipe, steps: int, start: Trained | None, learning_rate: float | None = None) -> Recipe:
    """A recipe for another number of steps.

    Args:
        recipe: whose schedule is squeezed.
        steps: gradient steps.
        start: the warm start, if there is one.
        learning_rate: its peak, as a share of the recipe's; None for 1, or `RATE` from a warm start.
    """
    usual = 1.0 if start is None else RATE
    rate = usual if learning_rate is None else learning_rate
    return replace(recipe.lasting(steps=steps), learning_rate=rate * recipe.learning_rate)


def not_a_model(start: object) -> list[str]:
    """What is wrong with what was given for a warm start, before any model is there to compare it with."""
    if start is None or isinstance(start, Trained):
        return []
    return [
        f"start={start!r} is no trained model; give one that `fit` made, or that `Trained.load` reads from a folder"
    ]


def problems_with_start(start: Trained | None, trained: Trained, forget: Sequence[str]) -> list[str]:
    """What keeps a model from being a warm start, one sentence each; nothing where there is none.

    Args:
        start: the warm start.
        trained: the model that is trained anew from it.
        forget: the ids to forget.
    """
    if start is None:
        return []
    found = []
    shapes, others = ({name: w.shape for name, w in model.weights.items()} for model in (start, trained))
    if shapes != others:
        found.append("start is of another network than the model; give one of the same task")
    # Where the model has some of the start's samples, those that it lacks were forgotten earlier.
    lacking = set(start.ids) - set(trained.ids)
    earlier = lacking if len(lacking) < len(start.ids) else set()
    seen = sorted(set(start.ids) & {*forget, *earlier})
    if seen:
        found.append(
            f"start was trained on {len(seen)} samples that are forgotten now or were before ({some(seen)}); train it "
            "anew without them, and give that"
        )
    return found
