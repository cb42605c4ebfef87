"""What `reserve_size.py` and `depletion.py` share: data, adversaries, unlearners, and what a result depends on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unscathed import Fisher, GradientAscent, Influence, Recipe, Samples, Task, Unlearner
from unscathed.adversaries import OneClass, ParameterAware
from unscathed.lab.provenance import provenance
from unscathed.lab.setups import setup
from unscathed.training.checkpoint import write_atomically

ADVERSARIES = ("random", "one-class", "parameter-aware")
UNLEARNERS: dict[str, Unlearner] = {
    "fisher": Fisher(),
    "gradient-ascent": GradientAscent(),
    "influence": Influence(curvature="last-layer"),
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A data set, cut to what minutes on one core afford."""

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
        samples = made.samples
        if len(samples) > most:
            samples = samples.split(reserve=most, seed=0)[1]
        # Who attacks parameters aims at other samples than those that are scored.
        test, validation = made.test.split(reserve=0.5, seed=0)
        return cls(name=name, samples=samples, test=test, validation=validation, task=made.task, recipe=made.recipe)


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
