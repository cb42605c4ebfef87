"""Extras: what the lab's tables, plots and pages are made with, beyond the core install."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from unscathed.problems import Problems

MODULES = {
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "matplotlib": "matplotlib",
    "plotly": "plotly",
    "pillow": "PIL",
    "jinja2": "jinja2",
}
"""Distributions, and the modules that they bring."""
TABLES, PLOTS = ("pandas", "pyarrow"), ("pandas", "pyarrow", "matplotlib")


def missing_extras(needed: Iterable[str] = tuple(MODULES)) -> list[str]:
    """What is needed and not installed, a sentence each: to be asked before the work starts.

    Args:
        needed: distributions, of `MODULES`.
    """
    missing = [name for name in needed if find_spec(MODULES[name]) is None]
    return [f"{name} is missing; pip install 'unscathed[lab]'" for name in missing]


def require_extras(what: str, needed: Iterable[str] = tuple(MODULES)) -> None:
    """Refuse ``what`` where something that it needs is not installed.

    Raises:
        BadInputError: names all that is missing.
    """
    problems = Problems(what)
    problems.extend(missing_extras(needed))
    problems.raise_any()
