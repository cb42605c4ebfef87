"""Cells: what stands in a table, and how it is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from unscathed.audit.check import MARKS
from unscathed.lab.labels import Measure
from unscathed.lab.statistics import Estimate

DASH, FAILED, DAGGER = "–", "failed", "†"
MANY = 10_000
"""From so many test samples on, a percentage deserves a second decimal."""


@dataclass(frozen=True)
class Cell:
    """One value of a table.

    Args:
        estimate: the mean over seeds; None for an audit's words, and where there is nothing.
        counts: of an audit's words, by word.
        failed: how many seeds could not be measured.
    """

    estimate: Estimate | None = None
    counts: Mapping[str, int] | None = None
    failed: int = 0

    @property
    def n(self) -> int:
        """How many seeds stand behind it."""
        return self.estimate.n if self.estimate else sum((self.counts or {}).values())


@dataclass(frozen=True)
class Style:
    """How the cells of one table are written.

    Args:
        digits: decimals.
        interval: which interval it is; a bootstrap's is not symmetric, so both its ends are shown.
        signed: whether values are differences.
        n: the number of seeds that most cells have; a cell that has another says so.
    """

    digits: int
    interval: str = "t"
    signed: bool = False
    n: int | None = None

    def write(self, cell: Cell) -> str:
        """The cell's text."""
        if not cell.n:
            return FAILED if cell.failed else DASH
        if cell.estimate is None:
            text = self._words(cell.counts)
        else:
            text = self._number(cell.estimate) + (f" (n={cell.n})" if cell.n != self.n else "")
        return text + (f" {DAGGER}" if cell.failed else "")

    def _number(self, estimate: Estimate) -> str:
        mean = self._show(estimate.mean)
        if estimate.low is None or estimate.high is None or estimate.half is None:
            return mean
        if self.interval == "t":
            return f"{mean} ± {estimate.half:.{self.digits}f}"
        return f"{mean} [{self._show(estimate.low)}, {self._show(estimate.high)}]"

    def _show(self, value: float) -> str:
        text = f"{abs(value):.{self.digits}f}"
        zero = float(text) == 0
        sign = "−" if value < 0 and not zero else "+" if self.signed and not zero else ""
        return f"{sign}{text}"

    @staticmethod
    def _words(counts: Mapping[str, int] | None) -> str:
        return " ".join(f"{mark}{(counts or {})[word]}" for word, mark in MARKS.items() if (counts or {}).get(word))


def digits_for(measure: Measure, cells: Iterable[Cell], test_samples: float) -> int:
    """Decimals: the measure's own, one more where many samples stand behind it or most intervals would round to 0."""
    digits = measure.digits
    if measure.unit == "%" and test_samples >= MANY:
        digits += 1
    halves = [cell.estimate.half for cell in cells if cell.estimate is not None and cell.estimate.half]
    return digits + 1 if halves and digits and median(halves) < 0.5 * 10**-digits else digits
