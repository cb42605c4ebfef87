"""Bad input is reported once, whole, and before any work starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class UnscathedError(Exception):
    """The base of every error that this library raises on purpose."""


class BadInputError(UnscathedError, ValueError):
    """Something that was handed in cannot be worked with.

    Args:
        what: what was being attempted, e.g. ``"cannot unlearn"``.
        problems: one sentence each, saying what is wrong and what to do.
    """

    def __init__(self, what: str, problems: Sequence[str]) -> None:
        self.what = what
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            message = f"{what}: {self.problems[0]}"
        else:
            message = f"{what}, {len(self.problems)} problems:" + "".join(f"\n  - {p}" for p in self.problems)
        super().__init__(message)

    def __reduce__(self) -> tuple[type[BadInputError], tuple[str, tuple[str, ...]]]:
        return type(self), (self.what, self.problems)  # workers send it whole


class Problems:
    """Collects what is wrong with an input, so that all of it is named at once.

    Args:
        what: what is being attempted; the error starts with it.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.found: list[str] = []

    def require(self, condition: bool, problem: str) -> bool:
        """Note ``problem`` unless ``condition`` holds; returns the condition, to guard dependent checks."""
        if not condition:
            self.found.append(problem)
        return condition

    def extend(self, problems: Iterable[str]) -> None:
        """Note problems that another check found."""
        self.found.extend(problems)

    def raise_any(self) -> None:
        """Raise `BadInputError` naming everything noted, if anything was."""
        if self.found:
            raise BadInputError(self.what, self.found)


def some(names: Iterable[object], limit: int = 5) -> str:
    """The first few of many names, for an error message: ``'a', 'b' and 7 more``."""
    listed = [repr(n) for n in names]
    shown = ", ".join(listed[:limit])
    return shown if len(listed) <= limit else f"{shown} and {len(listed) - limit} more"
