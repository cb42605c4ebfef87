"""Setups: a data set with the task and recipe that suit it, for whoever wants one in a line of Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unscathed.lab.components import Component
from unscathed.lab.datasets import Dataset
from unscathed.lab.defaults import default_model, recipe_of, task_of
from unscathed.problems import BadInputError
from unscathed.samples import Samples
from unscathed.task import ClassificationTask
from unscathed.training import Recipe


@dataclass(frozen=True)
class Setup:
    """What an experiment is made on.

    Args:
        dataset: samples and test samples.
        task: what is learned.
        recipe: how.
    """

    dataset: Dataset
    task: ClassificationTask
    recipe: Recipe

    @property
    def samples(self) -> Samples:
        """To train on and to hold a reserve back from."""
        return self.dataset.samples

    @property
    def test(self) -> Samples:
        """Held out."""
        return self.dataset.test


def setup(name: str, data: str | Path | None = None) -> Setup:
    """A data set with its default model and recipe, the same as an experiment's that names no others.

    Args:
        name: of a data set of classes.
        data: where its files are; by default where the data set looks for itself.

    Raises:
        BadInputError: there is none of this name, it has no model of its own, or it cannot be read.
    """
    arguments = (("path", str(data)),) if data is not None else ()
    component, task = Component("dataset", name, arguments), Component("task", "ClassificationTask")
    model = default_model(component, task)
    if model is None:
        raise BadInputError("cannot set up", [f"{name!r} has no model of its own"])
    dataset: Dataset = component.build()
    made = task_of(task, model, dataset)
    assert isinstance(made, ClassificationTask)
    return Setup(dataset, made, recipe_of(Component("recipe", "Recipe"), component, task, model))
