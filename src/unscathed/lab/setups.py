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


def setup(
    name: str, data: str | Path | None = None, *, model: str | None = None, recipe: Recipe | None = None
) -> Setup:
    """A data set with a model and a recipe: by default its own, the same as an experiment's that names no others.

    Args:
        name: of a data set of classes.
        data: where its files are; by default where the data set looks for itself.
        model: the name of one of the lab's models, for another than the data set's own.
        recipe: how it is trained; by default what suits the data set's own model, and `Recipe`'s defaults for others.

    Raises:
        BadInputError: there is none of this name, it has no model of its own and none is given, there is no such
            model, or the data cannot be read.
    """
    arguments = (("path", str(data)),) if data is not None else ()
    component, task = Component("dataset", name, arguments), Component("task", "ClassificationTask")
    network = default_model(component, task) if model is None else Component("model", model)
    if network is None:
        raise BadInputError("cannot set up", [f"{name!r} has no model of its own; give model=…"])
    dataset: Dataset = component.build()
    made = task_of(task, network, dataset)
    assert isinstance(made, ClassificationTask)
    return Setup(dataset, made, recipe or recipe_of(Component("recipe", "Recipe"), component, task, network))
