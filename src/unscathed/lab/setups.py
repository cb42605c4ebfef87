"""Setups: a data set with the task and recipe that suit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from unscathed.lab import datasets
from unscathed.lab.datasets import Dataset
from unscathed.lab.models import ColourNet, DigitNet, SmallNet
from unscathed.problems import BadInputError
from unscathed.samples import Samples
from unscathed.task import ClassificationTask
from unscathed.training import Flip, Recipe, Shift

BUILT_IN = ("digits", "mnist", "cifar10")


@dataclass(frozen=True)
class Setup:
    """What an experiment is made on.

    Args:
        name: of the data set.
        samples: to train on and to hold a reserve back from.
        test: held out.
        task: what is learned.
        recipe: how.
    """

    name: str
    samples: Samples
    test: Samples
    task: ClassificationTask
    recipe: Recipe


def setup(name: str, data: str | Path | None = None, *, seed: int = 0) -> Setup:
    """The setup for a data set.

    Args:
        name: ``"digits"``, ``"mnist"``, ``"cifar10"``, or the path of an image folder.
        data: where the parquet files of MNIST or CIFAR-10 are; None asks the hub.
        seed: of the split that digits need.

    Raises:
        BadInputError: the data is not there or cannot be read.
    """
    if name == "digits":
        return _setup(datasets.digits(seed=seed), DigitNet, Recipe(epochs=20, batch_size=64))
    if name == "mnist":
        return _setup(datasets.mnist(data), SmallNet, Recipe(epochs=6, batch_size=256, learning_rate=4e-3))
    if name == "cifar10":
        return _setup(datasets.cifar10(data), ColourNet, _colour_recipe(epochs=9))
    folder = Path(name)
    if not folder.is_dir():
        raise BadInputError(
            "cannot find the data set", [f"{name!r} is none of {', '.join(BUILT_IN)}, and there is no such folder"]
        )
    return _setup(datasets.image_folder(folder), ColourNet, _colour_recipe(epochs=30, batch_size=64))


def _setup(dataset: Dataset, model: Callable[[int], nn.Module], recipe: Recipe) -> Setup:
    classes = dataset.facts["classes"]
    task = ClassificationTask(partial(model, classes), classes, normalise=dataset.facts.get("normalise"))
    return Setup(dataset.name, dataset.samples, dataset.test, task, recipe)


def _colour_recipe(epochs: float, batch_size: int = 256) -> Recipe:
    return Recipe(
        epochs=epochs,
        batch_size=batch_size,
        optimizer="sgd",
        learning_rate=0.2,
        weight_decay=5e-4,
        augment=(Flip(), Shift(2)),
    )
