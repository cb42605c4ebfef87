"""Components: the parts of an experiment, named in its file by class (or function) and keyword arguments."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from unscathed import adversaries, healing, similarity, unlearners
from unscathed.lab import datasets, models, tasks
from unscathed.lab.datasets.encoders import efficientnet_lite0
from unscathed.lab.reserves import SpareSetOf
from unscathed.problems import BadInputError, Problems
from unscathed.task import ClassificationTask
from unscathed.training import Flip, Recipe, Shift

Constructor = Callable[..., Any]
EACH = "each"
"""``{ each = [0.05, 0.3] }`` stands for several values of an argument, one an experiment."""


def _public(*modules: Any, but: Iterable[str] = ()) -> dict[str, Constructor]:
    return {name: getattr(module, name) for module in modules for name in module.__all__ if name not in but}


KINDS: dict[str, dict[str, Constructor]] = {
    "dataset": _public(datasets, but=["Dataset"]),
    "model": _public(models),
    "task": {"ClassificationTask": ClassificationTask, **_public(tasks)},
    "recipe": {"Recipe": Recipe},
    "reserve": {"SpareSet": SpareSetOf},
    "similarity": {name: getattr(similarity, name) for name in ("Cosine", "Euclidean", "Mahalanobis", "Siamese")},
    "adversary": {
        name: found
        for name, found in _public(adversaries, but=["Adversary", "Ranking"]).items()
        if inspect.isclass(found) and issubclass(found, adversaries.Adversary)
    },
    "unlearner": _public(unlearners, but=["Unlearner"]),
    "healer": {name: getattr(healing, name) for name in ("Healer", "Escalation", "Watchful")},
}
"""What can be named, by the key under which it stands in a file."""
NESTED: dict[str, dict[str, Constructor]] = {
    "space": {name: getattr(similarity, name) for name in ("Features", "Raw")},
    "objective": {name: getattr(healing, name) for name in ("OwnLoss", "Distillation")},
    "layers": {name: getattr(healing, name) for name in ("AllLayers", "HeadFirst", "LowRank")},
    "until": {"Until": healing.Until},
    "rungs": {name: getattr(healing, name) for name in ("Heal", "Repair", "Resume", "StartOver")},
    "remedy": {name: getattr(healing, name) for name in ("OracleMatching", "Alternation")},
    "augment": {"Flip": Flip, "Shift": Shift},
    "dataset": KINDS["dataset"],
    "encoder": {"efficientnet_lite0": efficientnet_lite0},
}
"""What can be named inside, by the argument that takes it. Other arguments may take a user's own, by import path."""


@dataclass(frozen=True)
class Component:
    """A part, as named: it can be compared, shown and sent to a worker, and built when it is needed.

    Args:
        kind: the key it stands under, which decides what its name may be.
        name: of a class or function: one of the project's, or ``"package.module:Name"`` of a user's own.
        arguments: keyword arguments (sorted by name), nested components among them.
    """

    kind: str
    name: str
    arguments: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        inside = ", ".join(f"{name}={_text(value)}" for name, value in self.arguments)
        short = self.name.rpartition(":")[2]
        return f"{short}({inside})" if inside else short

    @property
    def constructor(self) -> Constructor:
        """The class or function that it names."""
        return _find(self.kind, self.name)

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """What the constructor takes."""
        return _parameters(self.constructor)

    @property
    def own_source(self) -> Path | None:
        """The file that a user's own class or function is defined in; None for the project's."""
        found = inspect.getsourcefile(self.constructor) if ":" in self.name else None
        return Path(found) if found else None

    def build(self, given: Mapping[str, Any] | None = None) -> Any:
        """Call the constructor; arguments that the file left out are taken from ``given``, by name."""
        offered = {n: v for n, v in (given or {}).items() if n in self.parameters}
        return self.constructor(**{**offered, **{name: _built(value) for name, value in self.arguments}})

    def to_json(self) -> Any:
        """Plain JSON, by which it is recognised."""
        return {self.name: {name: _json(value) for name, value in self.arguments}}

    def __iter__(self) -> Iterator[Component]:
        """This component and those nested in it."""
        yield self
        for _, value in self.arguments:
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, Component):
                    yield from part


def read_components(kind: str, entry: Any, problems: Problems) -> list[Component]:
    """All components that one entry of a file stands for: several where arguments have ``{ each = […] }``.

    Args:
        kind: the key that the entry stands under.
        entry: ``"Name"`` or ``{ Name = { argument = value, … } }``.
        problems: told what is wrong: unknown names and arguments, with the nearest right ones.
    """
    where = f"{kind} = {_shown(entry)}"
    arguments: dict[str, Any] = {}
    if isinstance(entry, str):
        name = entry
    elif isinstance(entry, dict) and len(entry) == 1 and isinstance(next(iter(entry.values())), dict):
        ((name, arguments),) = entry.items()
    else:
        problems.require(False, f'{where} must be "Name" or {{ Name = {{ argument = value }} }}')
        return []
    try:
        constructor = _find(kind, name)
    except BadInputError as error:
        problems.extend(error.problems)
        return []
    parameters = _parameters(constructor)
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for unknown in set(arguments) - set(parameters):
            problems.require(False, f"{where}: {name} has no argument {unknown!r}{nearest(unknown, parameters)}")
    choices: list[list[Any]] = []
    for argument, value in sorted(arguments.items()):
        several = isinstance(value, dict) and set(value) == {EACH}
        values = value[EACH] if several else [value]
        if not problems.require(isinstance(values, list) and bool(values), f"{where}: {argument} has nothing in each"):
            values = []
        choices.append([read for v in values for read in _read_value(argument, v, problems)])
    return [Component(kind, name, tuple(zip(sorted(arguments), chosen, strict=True))) for chosen in product(*choices)]


def _read_value(argument: str, value: Any, problems: Problems) -> list[Any]:
    known = NESTED.get(argument, {})
    if isinstance(value, list):
        parts = [_read_value(argument, v, problems) for v in value]
        return [tuple(chosen) for chosen in product(*parts)]
    name = next(iter(value)) if isinstance(value, dict) and len(value) == 1 else value
    if isinstance(name, str) and (known or isinstance(value, dict) or _is_path(name)):
        return list(read_components(f"{argument}", value, problems))
    if isinstance(value, dict):
        problems.require(False, f"{argument} = {_shown(value)} is not understood; give a value or one component")
        return []
    return [value]


def _is_path(name: str) -> bool:
    module, colon, attribute = name.partition(":")
    return bool(colon) and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))


@cache
def _parameters(constructor: Constructor) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(constructor).parameters


@cache
def _find(kind: str, name: str) -> Constructor:
    problems = Problems("cannot find a component")
    known = KINDS.get(kind) or NESTED.get(kind) or {}
    if name in known:
        return known[name]
    if not _is_path(name):
        own = f'; your own are named by import path, {kind} = "package.module:Name"'
        problems.require(False, f"there is no {kind} {name!r}{nearest(name, known) or own}")
        problems.raise_any()
    found = imported(name, kind)
    if not callable(found):
        raise BadInputError(problems.what, [f"{kind} {name!r} is no class or function"])
    constructor: Constructor = found
    return constructor


def imported(name: str, kind: str) -> Any:
    """What ``package.module:name`` names: a user's own.

    Args:
        name: the import path.
        kind: what it should be, for the error.

    Raises:
        BadInputError: it is no such path, the module cannot be imported, or it has nothing of this name.
    """
    what = "cannot find a component"
    if not _is_path(name):
        raise BadInputError(what, [f'{kind} {name!r} is no import path; write "package.module:name"'])
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise BadInputError(what, [f"{kind} {name!r} cannot be imported ({error})"]) from error
    except AttributeError as error:
        names = [n for n in vars(importlib.import_module(module)) if not n.startswith("_")]
        raise BadInputError(what, [f"{module} has no {attribute!r}{nearest(attribute, names)}"]) from error


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint: the nearest right name, or all that there are."""
    names = {n.lower(): n for n in known}
    near = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {names[near[0]]!r}?"
    return f"; there are {', '.join(names.values())}" if names else ""


def _built(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_built(v) for v in value)
    if isinstance(value, Component):
        # A function that is only named is meant itself (an encoder); all else is built.
        itself = value.kind == "encoder" or (":" in value.name and not inspect.isclass(value.constructor))
        return value.constructor if itself and not value.arguments else value.build()
    return value


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_json(v) for v in value]
    return value.to_json() if isinstance(value, Component) else value


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    return str(value) if isinstance(value, Component) else repr(value)


def _shown(entry: Any) -> str:
    return json.dumps(entry, default=str)
