"""Interval picture: a difference and its interval on a line, with what is tolerated, as places for a drawing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

WIDE = 1e-9


@dataclass(frozen=True)
class Label:
    """A number under the line.

    Args:
        at: where, percent of the width.
        text: it.
        anchor: which end of the text stands there (SVG's ``text-anchor``).
    """

    at: float
    text: str
    anchor: str


@dataclass(frozen=True)
class IntervalPicture:
    """Where everything stands, in percent of the width; the reference, a difference of 0, is in the middle.

    Args:
        low, high: the ends of the interval.
        at: the difference.
        beyond_left, beyond_right: whether the interval goes on beyond the picture.
        band: the ends of what is tolerated; None where nothing is judged.
        memory: the original's difference; None where it is unknown.
        detectable: the difference that would fail in four of five audits; None where it is unknown or far away.
        labels: numbers under the line.
    """

    low: float
    high: float
    at: float
    beyond_left: bool
    beyond_right: bool
    band: tuple[float, float] | None
    memory: float | None
    detectable: float | None
    labels: tuple[Label, ...]

    @property
    def width(self) -> float:
        """Of the interval."""
        return self.high - self.low


def interval_picture(check: Mapping[str, Any], show: Callable[[float], str]) -> IntervalPicture:
    """The picture of a check.

    Args:
        check: as `Check.to_json` gives it.
        show: a difference as text.
    """
    bounds = [check["lowest"], check["highest"]]
    ends = [check["low"], check["high"], check["difference"], check["memory"]]
    far = [abs(end) for end in ends if end is not None] + [1.5 * abs(bound) for bound in bounds if bound is not None]
    reach: float = max(WIDE, *far)
    seen = check["detectable"]
    if seen is not None and abs(seen) <= 1.6 * reach:
        reach = max(reach, abs(seen))
    else:
        seen = None
    reach *= 1.1

    def place(value: float) -> float:
        return 50 + 50 * max(-1.0, min(1.0, value / reach))

    judged = check["judged"] and bounds != [None, None]
    low, high = check["low"], check["high"]
    band = (
        (0.0 if bounds[0] is None else place(bounds[0]), 100.0 if bounds[1] is None else place(bounds[1]))
        if judged
        else None
    )
    labels = [
        Label(place(bound), show(bound), "end" if side == 0 else "start")
        for side, bound in enumerate(bounds)
        if bound is not None
    ]
    if all(abs(label.at - 50) > 9 for label in labels):
        labels.append(Label(50.0, "0", "middle"))
    return IntervalPicture(
        low=0.0 if low is None else place(low),
        high=100.0 if high is None else place(high),
        at=place(check["difference"] or 0.0),
        beyond_left=low is None,
        beyond_right=high is None,
        band=band,
        memory=None if check["memory"] is None else place(check["memory"]),
        detectable=None if seen is None else place(seen),
        labels=tuple(labels),
    )
