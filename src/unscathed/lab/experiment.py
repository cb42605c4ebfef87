"""Experiment: a grid of cells, read from one short file."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any

from unscathed.lab.components import KINDS, Component, read_components
from unscathed.lab.defaults import default_model
from unscathed.lab.seeds import PURPOSES, Seeds
from unscathed.problems import BadInputError, Problems

DEFAULTS: dict[str, Any] = {
    "task": "ClassificationTask",
    "recipe": "Recipe",
    "reserve": "SpareSet",
    "similarity": "Cosine",
    "healer": ["Healer", {"Healer": {"strategy": "retain"}}],
}
"""What a file need not say. Healing without twins is the control that every table should have."""
NEEDED = ("dataset", "adversary", "unlearner")
SETTINGS = ("name", "seeds", "fixed", "validation", "grid")
"""Keys of a file that are not components. ``grid`` holds tables of them; each is a grid of its own."""


@dataclass(frozen=True)
class Setting:
    """Where an original comes from: everything that adversaries and unlearners then meet.

    Args:
        dataset, model, task, recipe, reserve: components; ``model`` is None where the task builds its own.
        seed: as the file gives it.
        seeds: of every purpose, derived from it.
        validation: the share (float) or number (int) of test samples that adversaries who look at a validation loss aim
            at, and that nothing is reported of; None where they aim at the test samples themselves.
    """

    dataset: Component
    model: Component | None
    task: Component
    recipe: Component
    reserve: Component
    seed: int
    seeds: Seeds
    validation: float | int | None = None


@dataclass(frozen=True)
class Cell:
    """One combination: an unlearner answers an adversary, and a healer heals.

    Args:
        setting: what they meet.
        adversary, unlearner, similarity: components.
        healer: None where nothing is healed.
    """

    setting: Setting
    adversary: Component
    unlearner: Component
    similarity: Component
    healer: Component | None


@dataclass(frozen=True)
class Experiment:
    """A grid of cells under a name.

    Args:
        name: of the experiment.
        cells: every combination, each once.
        source: the file's text, kept beside the results.
        folder: of the file: a user's own components are imported from there too.
    """

    name: str
    cells: tuple[Cell, ...]
    source: str = ""
    folder: Path | None = None

    @classmethod
    def from_file(cls, path: str | Path) -> Experiment:
        """Read an experiment file (TOML).

        Raises:
            BadInputError: it is missing or no TOML, or names what there is not; everything wrong is named at once.
        """
        path = Path(path)
        problems = Problems(f"cannot read the experiment {path}")
        try:
            source = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInputError(problems.what, [f"the file cannot be read ({error})"]) from error
        try:
            content = tomllib.loads(source)
        except tomllib.TOMLDecodeError as error:
            raise BadInputError(problems.what, [f"it is no TOML: {error}"]) from error
        return cls.from_dict({"name": path.stem, **content}, source=source, folder=path.resolve().parent)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, source: str = "", folder: Path | None = None) -> Experiment:
        """The experiment that a file with this content describes."""
        name = str(content.get("name", "experiment"))
        problems = Problems(f"cannot read the experiment {name!r}")
        if folder is not None and str(folder) not in sys.path:
            sys.path.append(str(folder))
        shared = {key: value for key, value in content.items() if key != "grid"}
        grids = content.get("grid", [{}])
        if not problems.require(
            isinstance(grids, list) and bool(grids) and all(isinstance(g, dict) for g in grids),
            "grid must be one or more tables: [[grid]]",
        ):
            grids = []
        cells: dict[Cell, None] = {}
        for grid in grids:
            cells.update(dict.fromkeys(_cells({**shared, **grid}, problems)))
        # A mistake in what grids share is found in each of them, and named once.
        problems.found = list(dict.fromkeys(problems.found))
        problems.raise_any()
        return cls(name, tuple(cells), source, folder)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in order."""
        return tuple(dict.fromkeys(cell.setting.seed for cell in self.cells))


def _cells(content: Mapping[str, Any], problems: Problems) -> list[Cell]:
    known = (*SETTINGS, *KINDS)
    for unknown in set(content) - set(known):
        near = get_close_matches(unknown, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        problems.require(False, f"there is no key {unknown!r}; {hint}")
    missing = [key for key in NEEDED if key not in content]
    problems.require(not missing, f"{', '.join(missing)} must be given")
    axes = {kind: _axis(kind, content[kind], problems) for kind in KINDS if kind in content}
    for kind, default in DEFAULTS.items():
        axes.setdefault(kind, _axis(kind, default, problems))
    settings = _settings(
        axes,
        _seeds(content.get("seeds", 1), problems),
        _fixed(content, problems),
        _validation(content.get("validation"), problems),
        problems,
    )
    if problems.found:
        return []
    found: list[Cell] = []
    healers: list[Component | None] = [*axes["healer"]] or [None]
    for setting, adversary, unlearner in product(settings, axes["adversary"], axes["unlearner"]):
        found += [Cell(setting, adversary, unlearner, s, h) for s, h in product(axes["similarity"], healers)]
    return found


def _axis(kind: str, entry: Any, problems: Problems) -> list[Component]:
    """The components along one axis: a list, or one entry."""
    components: list[Component] = []
    before = len(problems.found)
    problems.require(entry != [] or kind == "healer", f"{kind} = [] leaves nothing to do; name at least one")
    for part in entry if isinstance(entry, list) else [entry]:
        if kind == "reserve" and isinstance(part, int | float):
            part = {"SpareSet": {"share": part}}
        if kind == "recipe" and isinstance(part, dict) and "Recipe" not in part:
            part = {"Recipe": part}
        components += read_components(kind, _expanded(part), problems)
    # What needs no data is built once now: values out of range are found before any work starts.
    for component in components if len(problems.found) == before else []:
        if kind in ("reserve", "similarity", "adversary", "unlearner", "healer", "recipe"):
            try:
                component.build()
            except BadInputError as error:
                problems.extend(f"{kind} = {component}: {p}" for p in error.problems)
            except (TypeError, ValueError) as error:
                problems.require(False, f"{kind} = {component} cannot be made ({error})")
    return components


def _expanded(entry: Any) -> Any:
    """Environment variables in texts, so that a file needs no path of one machine."""
    if isinstance(entry, str):
        return os.path.expandvars(entry)
    if isinstance(entry, dict):
        return {key: _expanded(value) for key, value in entry.items()}
    return [_expanded(value) for value in entry] if isinstance(entry, list) else entry


def _settings(
    axes: Mapping[str, list[Component]],
    seeds: Iterable[int],
    fixed: Mapping[str, int],
    validation: float | int | None,
    problems: Problems,
) -> list[Setting]:
    found = []
    for dataset, task, recipe, reserve in product(*(axes.get(k, []) for k in ("dataset", "task", "recipe", "reserve"))):
        models: list[Component | None] = [None]
        if "model" in task.parameters:
            models = [*axes["model"]] if "model" in axes else [default_model(dataset, task)]
            problems.require(models != [None], f"dataset = {dataset} has no model of its own; give model = …")
        else:
            problems.require("model" not in axes, f"task = {task} builds its own model; leave model out")
        found += [
            Setting(dataset, model, task, recipe, reserve, seed, Seeds.of(seed, fixed), validation)
            for model, seed in product(models, seeds)
        ]
    return found


def _seeds(entry: Any, problems: Problems) -> list[int]:
    seeds = list(range(entry)) if isinstance(entry, int) else entry
    right = isinstance(seeds, list) and bool(seeds) and all(isinstance(s, int) and 0 <= s < 2**32 for s in seeds)
    if not problems.require(right, f"seeds = {entry!r} must be a number of seeds, or a list of them (0 … 2³²-1)"):
        return []
    return list(dict.fromkeys(seeds))


def _validation(entry: Any, problems: Problems) -> float | int | None:
    whole, share = isinstance(entry, int) and not isinstance(entry, bool), isinstance(entry, float)
    problems.require(
        entry is None or (whole and entry >= 1) or (share and 0 < entry < 1),
        f"validation = {entry!r} must be a share of the test samples between 0 and 1, or a number of them",
    )
    return entry if whole or share else None


def _fixed(content: Mapping[str, Any], problems: Problems) -> dict[str, int]:
    fixed = content.get("fixed", {})
    if not problems.require(isinstance(fixed, dict), f"fixed = {fixed!r} must be a table: {{ split = 0 }}"):
        return {}
    for purpose, seed in fixed.items():
        problems.require(
            purpose in PURPOSES and isinstance(seed, int) and 0 <= seed < 2**32,
            f"fixed: {purpose} = {seed!r} must be one of {', '.join(PURPOSES)}, with a seed (0 … 2³²-1)",
        )
    return {purpose: seed for purpose, seed in fixed.items() if purpose in PURPOSES}
