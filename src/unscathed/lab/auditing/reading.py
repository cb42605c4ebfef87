"""Reading: ids, recipes, tolerances, tasks and samples, from how a person names them; problems are only noted."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from unscathed.audit import Tolerance
from unscathed.lab.auditing.request import AuditRequest
from unscathed.lab.components import KINDS, Component, imported, nearest
from unscathed.lab.datasets import Dataset
from unscathed.lab.defaults import default_model, recipe_of, task_of
from unscathed.problems import BadInputError, Problems
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training import Recipe


@dataclass(frozen=True)
class Material:
    """What an audit is made with, as far as it could be read.

    Args:
        task: what the models are for.
        pool: the training samples, and perhaps spares that were held back.
        test: held out.
        unseen: never trained on, where they are given apart.
        recipe: of the data set's own model, where the task is the data set's.
    """

    task: Task | None
    pool: Samples | None
    test: Samples | None
    unseen: Samples | None
    recipe: Recipe | None


def read_material(request: AuditRequest, problems: Problems) -> Material:
    """The task and all samples."""
    dataset, task, recipe = _dataset(request, problems) if request.dataset is not None else (None, None, None)
    if request.dataset is None:
        missing = [f"--{name}" for name in ("task", "samples") if getattr(request, name) is None]
        problems.require(
            not missing,
            f"there is no {' and no '.join(missing)}; give them as package.module:name, or name a --dataset",
        )
        problems.require(request.data is None, "--data is where a data set's files lie; add --dataset NAME")
    if request.task is not None:
        task, recipe = _read(request.task, "task", Task, {} if dataset is None else dataset.facts, problems), None
    parts = {"samples": None, "test": None} if dataset is None else {"samples": dataset.samples, "test": dataset.test}
    found: dict[str, Samples | None] = {
        name: parts.get(name) if path is None else _read(path, name, Samples, {}, problems)
        for name, path in (("samples", request.samples), ("test", request.test), ("unseen", request.unseen))
    }
    return Material(task, found["samples"], found["test"], found["unseen"], recipe)


def read_ids(request: AuditRequest, problems: Problems) -> tuple[str, ...]:
    """The ids of the forgotten, from a list or from a file."""
    file = request.forget_file
    if file is None:
        lines = request.forget.split(",")
    else:
        try:
            # Ids may hold commas and number signs, so a line of a file is an id as it stands.
            lines = file.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            problems.require(False, f"--forget: {file} cannot be read ({error})")
            return ()
    ids = tuple(line.strip() for line in lines if line.strip())
    problems.require(bool(ids), "--forget names no ids; separate them by commas, or give a file with one a line")
    return ids


def read_recipe(text: str, problems: Problems) -> Recipe | None:
    """A recipe from JSON, or from a file of it; what it leaves out has `Recipe`'s defaults."""
    try:
        content = text if text.lstrip().startswith("{") else Path(text).read_text()
        record = json.loads(content)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        problems.require(False, f'--recipe is neither JSON, e.g. {{"epochs": 20}}, nor a file of it ({error})')
        return None
    known = [field.name for field in fields(Recipe)]
    if not problems.require(isinstance(record, dict), '--recipe must be JSON of names and values, e.g. {"epochs": 20}'):
        return None
    unknown = [name for name in record if name not in known]
    problems.extend(f"--recipe: a recipe has no {name!r}{nearest(name, known)}" for name in unknown)
    if unknown:
        return None
    try:
        return Recipe.from_json({"augment": [], **record})
    except BadInputError as error:
        problems.extend(f"--recipe: {problem}" for problem in error.problems)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        problems.require(False, f"--recipe cannot be read ({error})")
    return None


def read_tolerance(entries: tuple[str, ...], problems: Problems) -> Tolerance:
    """A tolerance from ``name=value``."""
    known = [field.name for field in fields(Tolerance)]
    values: dict[str, float] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not problems.require(bool(equals), f"--tolerance {entry!r} is not name=value, e.g. forgetting=0.05"):
            continue
        if not problems.require(name in known, f"--tolerance: there is no {name!r}{nearest(name, known)}"):
            continue
        try:
            values[name] = float(value)
            valid = 0 <= values[name] < float("inf")
        except ValueError:
            valid = False
        problems.require(valid, f"--tolerance {entry!r}: the value must be a number of at least 0")
    return Tolerance(**values) if not problems.found else Tolerance()


def _dataset(request: AuditRequest, problems: Problems) -> tuple[Dataset | None, Task | None, Recipe | None]:
    """A data set of the lab, with the task and the recipe that suit it."""
    name, data = str(request.dataset), request.data
    known = KINDS["dataset"]
    if name not in known:
        own = f"--dataset {name!r} is none of {', '.join(known)}, and there is no such folder of images"
        if not problems.require(Path(name).is_dir() and data is None, own):
            return None, None, None
        name, data = "image_folder", Path(name)
    component = Component("dataset", name, () if data is None else (("path", str(data)),))
    given = {argument for argument, _ in component.arguments}
    parameters = component.parameters
    missing = [n for n, p in parameters.items() if p.default is p.empty and n not in given]
    if missing:
        hint = "give --data" if missing == ["path"] else "name its samples by --samples and --test"
        problems.require(False, f"--dataset {name} needs {' and '.join(missing)}; {hint}")
        return None, None, None
    if not problems.require(given <= set(parameters), f"--dataset {name} has no files; leave --data out"):
        return None, None, None
    try:
        dataset: Dataset = component.build()
    except BadInputError as error:
        problems.extend(f"--dataset {name}: {problem}" for problem in error.problems)
        return None, None, None
    if request.task is not None:
        return dataset, None, None
    task = Component("task", "ClassificationTask")
    model = default_model(component, task)
    if not problems.require(model is not None, f"--dataset {name} has no model of its own; give --task"):
        return dataset, None, None
    return dataset, task_of(task, model, dataset), recipe_of(Component("recipe", "Recipe"), component, task, model)


def _read(path: str, name: str, kind: type[Any], facts: Mapping[str, Any], problems: Problems) -> Any:
    """What an import path names, or what it makes."""
    try:
        found = imported(path, f"--{name}")
    except BadInputError as error:
        problems.extend(error.problems)
        return None
    if callable(found) and not isinstance(found, kind):
        parameters = inspect.signature(found).parameters
        offered = {n: facts[n] for n in parameters if n in facts}
        missing = [n for n, p in parameters.items() if p.default is p.empty and p.kind < 2 and n not in offered]
        if missing:
            why = f"--{name} {path!r} asks for {', '.join(missing)}; name a function that needs nothing"
            problems.require(False, why)
            return None
        found = found(**offered)
    if not isinstance(found, kind):
        made = type(found).__name__
        problems.require(False, f"--{name} {path!r} is or makes a {made}; it must be {kind.__name__}")
        return None
    return found
