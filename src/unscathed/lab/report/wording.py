"""Wording: numbers as a reader should see them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass

from unscathed.audit.check import MARKS
from unscathed.lab.results import Results


@dataclass(frozen=True)
class Voice:
    """How a task's score is spoken of: as a share of right answers, or as a score.

    Args:
        shares: which of the two.
        digits: decimals.
    """

    shares: bool
    digits: int

    @property
    def test(self) -> str:
        """What is measured on test samples."""
        return "test accuracy" if self.shares else "test score"

    @property
    def forgotten(self) -> str:
        """What is measured on the forgotten."""
        return "accuracy on the forgotten" if self.shares else "score on the forgotten"

    @property
    def unit(self) -> str:
        """For headings: ``, %``."""
        return ", %" if self.shares else ""

    @property
    def tick(self) -> str:
        """For axes."""
        return " %" if self.shares else ""

    def number(self, value: float) -> str:
        """A value without its unit."""
        return number(value, self.digits)

    def value(self, value: float) -> str:
        """A value with its unit, which stays on its line."""
        return percent(value, self.digits) if self.shares else self.number(value)

    def change(self, values: Iterable[float]) -> str:
        """The span of some differences."""
        told = span(values, lambda value: signed(value, self.digits))
        return f"{told} points" if self.shares else told

    def right(self, value: str, of: str) -> str:
        """What a model does with some samples: ``is right on 62.5 % of them``."""
        return f"is right on {value} of {of}" if self.shares else f"scores {value} on {of}"

    def answers(self, value: str, only: str = "") -> str:
        """The same of the forgotten: ``answers 62.5 % of the forgotten right``."""
        if self.shares:
            return f"answers {only}{value} of the forgotten right"
        return f"scores {only}{value} on the forgotten"

    @property
    def more_than_original(self) -> str:
        """What twins may teach."""
        if self.shares:
            return "answered more of the forgotten right than even the original"
        return "scored higher on the forgotten than even the original"


def voice(results: Results) -> Voice:
    """How the score of these results is spoken of; two decimals where 10,000 test samples or more stand behind it."""
    count = results.environment.get("test_samples")
    many = isinstance(count, int) and count >= 10_000
    return Voice(results.shares, (2 if many else 1) if results.shares else 3)


def number(value: float, digits: int) -> str:
    """A value; a dash where it was not measured."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int) -> str:
    """A difference with its sign, ``±`` where it rounds to nothing."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return f"±{text}"
    return f"{'+' if value > 0 else '−'}{text}"


def percent(value: float, digits: int) -> str:
    """A percentage; its sign stays on the number's line."""
    return f"{value:.{digits}f}\N{NO-BREAK SPACE}%"


def times(value: float) -> str:
    """A price as a share of another, in three digits: ``0.16×``, ``12.3×``."""
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}×"


def span(values: Iterable[float], show: Callable[[float], str]) -> str:
    """The least and the largest of some numbers, or the one text that both have."""
    ordered = sorted(values)
    low, high = show(ordered[0]), show(ordered[-1])
    return low if low == high else f"{low} to {high}"


def whole(value: float) -> str:
    """A whole number: ``2,700``."""
    return f"{value:,.0f}"


def counted(things: Sized, one: str, many: str | None = None) -> str:
    """How many there are: ``1 case``, ``2 cases``."""
    return f"{len(things):,} {one if len(things) == 1 else many or f'{one}s'}"


def listed(seeds: Iterable[int]) -> str:
    """Seeds: ``seed 0``, ``seeds 0, 1, 2``, ``seeds 0 to 9``."""
    known = sorted(set(seeds))
    if len(known) > 3 and known == list(range(known[0], known[-1] + 1)):
        return f"seeds {known[0]} to {known[-1]}"
    return f"seed{'' if len(known) == 1 else 's'} {', '.join(map(str, known))}"


def tally(outcomes: Iterable[str | None]) -> str:
    """How often each outcome occurs: ``3 of 5 pass, 1 fails, 1 without enough evidence``."""
    counts = Counter(outcome for outcome in outcomes if outcome is not None)
    total = counts.total()
    if not total:
        return "not audited"
    parts = [f"{counts['pass']} of {total} pass{'es' if counts['pass'] == 1 else ''}"]
    if counts["fail"]:
        parts.append(f"{counts['fail']} fail{'s' if counts['fail'] == 1 else ''}")
    if counts["not enough evidence"]:
        parts.append(f"{counts['not enough evidence']} without enough evidence")
    return ", ".join(parts)


def marks(outcomes: Iterable[str]) -> str:
    """The marks of an audit's outcomes: one where all seeds agree, else ``✓3 ✗2``; a dash where there was no audit."""
    counts = Counter(outcomes)
    if len(counts) < 2:
        return next((MARKS.get(word, word) for word in counts), "–")
    return " ".join(f"{mark}{counts[word]}" for word, mark in MARKS.items() if counts[word])
