"""Labels: what a reader sees in place of constructor texts and measures' names. Only this file knows them."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

TITLES = {
    "random": "random",
    "oneclass": "blind",
    "outputaware": "output-aware",
    "parameteraware": "parameter-aware",
    "outliers": "outliers",
    "prototypes": "prototypes",
    "raresubgroups": "rare subgroups",
    "wholeholdings": "whole holdings",
    "highestloss": "highest loss",
    "highestconfidence": "highest confidence",
    "representative": "representatives",
    "influential": "influential",
    "gradientmatching": "gradient matching",
    "worstcase": "worst case",
    "fisherweights": "Fisher weights",
    "certificatebreaking": "certificate breaking",
    "retrain": "Retrain",
    "sisa": "SISA",
    "fisher": "Fisher",
    "influence": "Influence",
    "certifiedremoval": "certified removal",
    "gradientascent": "gradient ascent",
    "neggradplus": "NegGrad+",
    "scrub": "SCRUB",
    "saliency": "SalUn",
    "selectivedampening": "SSD",
    "cosine": "cosine",
    "euclidean": "L2",
    "mahalanobis": "Mahalanobis",
    "siamese": "Siamese",
    "cifar10": "CIFAR-10",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "adult": "Adult",
    "ag_news": "AG News",
}
"""Of components, by the name of their class in lower case, in the order in which readers meet them."""
BOTH, CONTROL, TWINS = "retain+twins", "retain", "twins"
"""The healing strategies."""
STRATEGIES = {BOTH: "retain + twins", CONTROL: "retain", TWINS: "twins"}
HEALER = "healer"
AXES = {
    "dataset": "data set",
    "model": "model",
    "recipe": "recipe",
    "task": "task",
    "reserve": "reserve",
    "similarity": "similarity",
    "adversary": "adversary",
    "unlearner": "unlearner",
    "healer": "healer",
    "stage": "stage",
    "seed": "seed",
}
STATES = {"original": "original", "gold": "gold", "unlearned": "unlearned", "healed": "healed"}


@dataclass(frozen=True)
class Measure:
    """How a measure is shown.

    Args:
        title: what it is.
        unit: of its values; empty for none.
        digits: decimals that it deserves where nothing else decides.
    """

    title: str
    unit: str = ""
    digits: int = 3

    @property
    def heading(self) -> str:
        """Title and unit: ``test accuracy, %``."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


MEASURES = {
    "test_accuracy": Measure("test accuracy", "%", 1),
    "forget_accuracy": Measure("accuracy on the forgotten", "%", 1),
    "worst_class_accuracy": Measure("test accuracy of the worst class", "%", 1),
    "test_score": Measure("test score"),
    "forget_score": Measure("score on the forgotten"),
    "worst_class_score": Measure("test score of the worst class"),
    "test_loss": Measure("test loss", "nats"),
    "forget_loss": Measure("loss on the forgotten", "nats"),
    "membership_auc": Measure("membership AUC"),
    "twins": Measure("twins used", "", 0),
    "twin_distance": Measure("mean distance to the twin"),
    "twins_refused": Measure("spares refused as too close", "", 0),
    "reserve_left": Measure("spares left", "", 0),
    "whole": Measure("whole"),
    "forgotten": Measure("gone"),
    "steps": Measure("gradient steps", "", 0),
    "wall_seconds": Measure("wall time", "s", 1),
    "cpu_seconds": Measure("processor time", "s", 1),
    "peak_memory": Measure("peak memory", "bytes", 0),
}
OUTCOMES = ("whole", "forgotten")
"""Measures whose values are an audit's words."""


def measure(name: str) -> Measure:
    """How this measure is shown; one that is not known keeps its name."""
    return MEASURES.get(name) or Measure(name.replace("_", " "))


@dataclass(frozen=True)
class Call:
    """A constructor text, taken apart.

    Args:
        name: of the class or function.
        arguments: as they were given, by name.
    """

    name: str
    arguments: dict[str, Any]

    @property
    def family(self) -> str:
        """The name in lower case."""
        return self.name.lower()

    @property
    def title(self) -> str:
        """The name as a reader should see it."""
        return TITLES.get(self.family, self.name)


@lru_cache(maxsize=4096)
def parse(text: str) -> Call:
    """Take a constructor text apart; what is none is a name as a whole."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return Call(text, {})
    if not isinstance(tree, ast.Call):
        return Call(text, {})
    arguments = {str(index): _value(part) for index, part in enumerate(tree.args)}
    arguments |= {keyword.arg or "**": _value(keyword.value) for keyword in tree.keywords}
    return Call(ast.unparse(tree.func), arguments)


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def strategy(healer: str) -> str:
    """The strategy of a healer: what its text names, else `Healer`'s default; a user's own healer is its own."""
    call = parse(healer)
    if call.family == HEALER:
        return str(call.arguments.get("strategy", BOTH))
    return healer if healer in STRATEGIES else BOTH


def variant(healer: str) -> str:
    """What tells a healer from others of the same strategy: its further arguments, or that it is a user's own."""
    call = parse(healer)
    if call.family != HEALER:
        return "" if healer in STRATEGIES else call.title
    return _listed({name: value for name, value in call.arguments.items() if name != "strategy"})


class Labels:
    """What the values of an axis are called: no longer than it takes to tell them apart.

    A budget is left out where all have the same, any other argument where all of the same class have the same.

    Args:
        axis: its name.
        values: all that occur on it.
    """

    def __init__(self, axis: str, values: Iterable[Any]) -> None:
        self.axis = axis
        self.values = ranked(axis, values)
        calls = [parse(value) for value in self.values if isinstance(value, str)]
        budgets = {call.arguments.get("budget") for call in calls}
        self._telling: dict[str, set[str]] = {}
        for call in calls:
            same = [other.arguments for other in calls if other.name == call.name]
            names = {name for arguments in same for name in arguments}
            telling = {name for name in names if len({repr(arguments.get(name)) for arguments in same}) > 1}
            self._telling[call.name] = telling | ({"budget"} if len(budgets) > 1 else set())

    def __call__(self, value: Any) -> str:
        """The label of one value."""
        if not isinstance(value, str):
            return "all" if value is None or value != value else str(value)
        if self.axis == "stage":
            return STATES.get(value, value)
        call = parse(value)
        shown = {n: v for n, v in call.arguments.items() if n in self._telling.get(call.name, ())}
        if self.axis == HEALER and (call.family == HEALER or value in STRATEGIES):
            kept = _listed({name: part for name, part in shown.items() if name != "strategy"})
            title = STRATEGIES.get(strategy(value), strategy(value))
            return f"{title} ({kept})" if kept else title
        budget = _share(shown.pop("budget")) if "budget" in shown else ""
        title = f"{call.title} {budget}" if budget else call.title
        return f"{title} ({_listed(shown)})" if shown else title

    def find(self, name: Any) -> list[Any]:
        """The values that a reader means by a name: a constructor text, a label, or the title that several share."""
        wanted = str(name)
        exact = [value for value in self.values if wanted in (str(value), " ".join(self(value).split()))]
        return exact or [value for value in self.values if isinstance(value, str) and parse(value).title == wanted]


def ranked(axis: str, values: Iterable[Any]) -> list[Any]:
    """The values that occur, once each, in the order in which readers meet them; missing ones are left out."""
    found = {value for value in values if value is not None and value == value}
    return sorted(found, key=lambda value: _rank(axis, value))


def _rank(axis: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, str):
        return (0, "", value)
    if axis == "stage":
        return (list(STATES).index(value) if value in STATES else len(STATES), value)
    call = parse(value)
    order = list(STRATEGIES) if axis == HEALER else list(TITLES)
    known = strategy(value) if axis == HEALER and not variant(value).startswith(call.title) else call.family
    arguments = tuple(
        (name, 0, part, "") if isinstance(part, int | float) else (name, 1, math.inf, repr(part))
        for name, part in sorted(call.arguments.items(), key=lambda pair: (pair[0] != "budget", pair[0]))
    )
    return (order.index(known) if known in order else len(order), call.name, arguments)


def _share(budget: Any) -> str:
    """A budget: a share in percent, or a number of samples."""
    if isinstance(budget, float):
        return f"{100 * budget:.4g}\N{NO-BREAK SPACE}%"
    return f"{budget:,} samples" if isinstance(budget, int) else str(budget)


def _listed(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items())
