"""Text: small curves of means and intervals, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from unscathed.planning.curve import Mean

WIDTH = 36


def number(value: float, percent: bool, sign: str = "+") -> str:
    """A score or a difference of scores; in percentage points where scores are shares."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞"
    return f"{100 * value:{sign}.2f}" if percent else f"{value:{sign}.4f}"


def estimate(mean: Mean, percent: bool) -> str:
    """A mean and its interval."""
    return f"{number(mean.mean, percent)} [{number(mean.low, percent)}, {number(mean.high, percent)}]"


def whiskers(means: Sequence[Mean], marks: Sequence[float]) -> list[str]:
    """One line for each mean: its interval as a line, itself as a point, marks as bars; all on the same scale.

    Args:
        means: what is drawn; infinite ends reach to the border.
        marks: where zero, or what is tolerated, lies.
    """
    ends = [value for mean in means for value in mean[:3] if math.isfinite(value)] + list(marks)
    least, most = min(ends), max(ends)
    span = (most - least) or 1.0

    def column(value: float) -> int:
        return round((min(max(value, least), most) - least) / span * (WIDTH - 1))

    lines = []
    for mean in means:
        cells = [" "] * WIDTH
        for place in range(column(mean.low), column(mean.high) + 1):
            cells[place] = "─"
        for mark in marks:
            cells[column(mark)] = "│"
        cells[column(mean.mean)] = "●"
        lines.append("".join(cells))
    return lines
