"""Defaults: the model and the recipe that suit a data set, where a file names none, and the task that they make."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from unscathed.lab.components import Component
from unscathed.lab.datasets import Dataset
from unscathed.task import Task
from unscathed.training import Flip, Recipe, Shift

_COLOUR: dict[str, Any] = {
    "batch_size": 256,
    "optimizer": "sgd",
    "learning_rate": 0.2,
    "weight_decay": 5e-4,
    "augment": (Flip(), Shift(2)),
}
_KNOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "digits": ("DigitNet", {"epochs": 20, "batch_size": 64}),
    "mnist": ("SmallNet", {"epochs": 6, "batch_size": 256, "learning_rate": 4e-3}),
    "cifar10": (
        "FastNet",
        {
            "epochs": 8,
            "batch_size": 512,
            "optimizer": "muon",
            "learning_rate": 0.024,
            "momentum": 0.6,
            "weight_decay": 0.3,
            "augment": (Flip(), Shift(2)),
        },
    ),
    "fashion_mnist": ("SmallNet", {"epochs": 8, "batch_size": 256, "learning_rate": 4e-3}),
    "adult": ("TableNet", {"epochs": 6, "batch_size": 256}),
    "csv": ("TableNet", {"epochs": 10}),
    "ag_news": ("TextTransformer", {"epochs": 8, "learning_rate": 2e-3}),
    "text": ("TextTransformer", {"epochs": 8, "learning_rate": 2e-3}),
    "features": ("Head", {"epochs": 10, "learning_rate": 1e-3}),
    "characters": ("CharacterTransformer", {"epochs": 4}),
    "image_folder": ("ColourNet", {"epochs": 30, **_COLOUR, "batch_size": 64}),
}


_BY_TASK: dict[str, tuple[str, dict[str, Any]]] = {
    "VariationalAutoencoder": ("DenseAutoencoder", {"epochs": 10, "batch_size": 256}),
}
"""Where the task decides, whatever the data."""


def default_model(dataset: Component, task: Component) -> Component | None:
    """The model that suits a data set and a task; None where only its user knows."""
    known = _known(dataset, task)
    return Component("model", known[0]) if known else None


def _known(dataset: Component, task: Component) -> tuple[str, dict[str, Any]] | None:
    return _BY_TASK.get(task.name) or _KNOWN.get(dataset.name)


@cache
def recipe_of(recipe: Component, dataset: Component, task: Component, model: Component | None) -> Recipe:
    """The recipe: what the file says, and for what it leaves out what suits the data set's own model.

    Another model than that learns by other rules: it starts from `Recipe`'s defaults.
    """
    known = _known(dataset, task)
    defaults = known[1] if known and model is not None and model.name == known[0] else {}
    said = dict(recipe.arguments)
    if "steps" in said:
        defaults = {name: value for name, value in defaults.items() if name != "epochs"}
    made: Recipe = recipe.build(defaults)
    return made


def task_of(task: Component, model: Component | None, dataset: Dataset) -> Task:
    """The task, built from the data set's facts; its model is None where it builds its own."""
    facts = dict(dataset.facts)
    made: Task = task.build(facts if model is None else {**facts, "model": partial(model.build, facts)})
    return made
