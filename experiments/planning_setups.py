"""What `reserve_size.py` and `depletion.py` share: data, adversaries, unlearners, and what a result depends on."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from attacked_data import cut, enlarged
from unscathed import ClassificationTask, Fisher, GradientAscent, Influence, Recipe, Samples, Task, Unlearner
from unscathed.adversaries import OneClass, ParameterAware
from unscathed.lab.datasets import Dataset, features
from unscathed.lab.models import Head
from unscathed.lab.provenance import provenance
from unscathed.lab.setups import setup
from unscathed.training import Progress
from unscathed.training.checkpoint import write_atomically

TEST = 4000
"""Test and validation samples of the larger data sets."""
ADVERSARIES = ("random", "one-class", "parameter-aware")
UNLEARNERS: dict[str, Unlearner] = {
    "fisher": Fisher(),
    "gradient-ascent": GradientAscent(),
    "influence": Influence(curvature="last-layer"),
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A data set, cut to what minutes on one core afford.

    MNIST has a small multilayer perceptron, and CIFAR-10 one on an encoder's frozen features.
    """

    name: str
    samples: Samples
    test: Samples
    validation: Samples
    task: Task
    recipe: Recipe

    @classmethod
    def of(cls, name: str, most: int) -> Setting:
        root = os.environ.get("UNSCATHED_DATA")
        made = setup(name, Path(root) / name if root and name != "digits" else None)
        dataset, task, recipe = made.dataset, made.task, made.recipe
        if len(dataset.samples) > most:
            dataset = cut(dataset, most, TEST)
        if name == "mnist":
            task = ClassificationTask(perceptron, 10, normalise=task.normalise)
            recipe = Recipe(epochs=12, batch_size=64)
        if name == "cifar10":
            dataset = encoded(dataset, f"cifar10-{most}-{TEST}")
            dimensions = dataset.facts["dimensions"]
            task = ClassificationTask(lambda: Head(10, dimensions, widths=(128,)), 10)
            recipe = Recipe(epochs=10, batch_size=64)
        # Who attacks parameters aims at other samples than those that are scored.
        test, validation = dataset.test.split(reserve=0.5, seed=0)
        return cls(name=name, samples=dataset.samples, test=test, validation=validation, task=task, recipe=recipe)

    @property
    def model(self) -> str:
        """The model's layers, for the record."""
        return " ".join(repr(self.task.build()).split())


def encoded(dataset: Dataset, name: str) -> Dataset:
    """Frozen features of a data set, kept in the folder named by UNSCATHED_CACHE, where there is one."""
    folder = os.environ.get("UNSCATHED_CACHE")
    place = Path(folder) / f"{name}-features.pt" if folder else None
    if place is not None and place.exists():
        inputs, facts = torch.load(place)
        samples, test = (Samples(x, p.targets, p.ids, classes=p.classes) for p, x in zip(dataset, inputs, strict=True))
        return Dataset(f"{dataset.name} (features)", samples, test, facts)
    with Progress() as progress:
        found = features(dataset, enlarged, callbacks=[progress])
    if place is not None:
        held = io.BytesIO()
        torch.save(([part.inputs for part in found], dict(found.facts)), held)
        write_atomically(place, held.getvalue())
    return found


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))


def requests_of(adversary: str, count: int) -> dict[str, Any]:
    """The arguments by which `plan_reserve` and `depletion` are told who asks for so many samples at a time."""
    if adversary == "random":
        return {"rate": count}
    return {"adversary": OneClass(count) if adversary == "one-class" else ParameterAware(count)}


def environment(setting: Setting) -> dict[str, Any]:
    """What the numbers depend on besides the settings."""
    known = provenance()
    return {
        "dataset": setting.name,
        "samples": len(setting.samples),
        "test": len(setting.test),
        "validation": len(setting.validation),
        "model": setting.model,
        "recipe": setting.recipe.to_json(),
        "command": f"python experiments/{known['command']}",
        "versions": json.loads(known["versions"]),
        "processor": known["processor"],
        "accelerator": known["accelerator"],
        "commit": known["commit"],
    }


def begun(place: Path | None, record: dict[str, Any], results: str) -> dict[str, Any]:
    """The record of an earlier run on the same samples, to go on with; or ``record``, with no results yet.

    Args:
        place: where it would be.
        record: what results depend on.
        results: what they are called in it.
    """
    earlier: dict[str, Any] = json.loads(place.read_text()) if place and place.exists() else {}
    settings = ("dataset", "samples", "test", "validation", "recipe", "request")
    if earlier and all(earlier.get(name) == record[name] for name in settings):
        earlier.setdefault("continued", []).append({k: record[k] for k in ("command", "processor", "commit")})
        return earlier
    return {**record, results: []}


def write(place: Path | None, record: dict[str, Any]) -> None:
    """Write a record, whole or not at all."""
    if place:
        write_atomically(place, (json.dumps(record, indent=1) + "\n").encode())
