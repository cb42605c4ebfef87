"""Statistics: means over seeds with their intervals, and differences paired by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy import special, stats

from unscathed.lab.frames import PLACE, SPREAD
from unscathed.lab.schema import STAGES
from unscathed.problems import BadInputError

Interval = Literal["t", "bootstrap"]
INTERVALS: tuple[str, ...] = get_args(Interval)
LEVEL = 0.95
RESAMPLES = 9_999


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Args:
        mean: of the values.
        low: the interval's lower end; None where there is no interval (one value).
        high: its upper end.
        n: how many values.
    """

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def half(self) -> float | None:
        """Half the interval's width."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def certain(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def estimate(values: Iterable[float], interval: Interval = "t", level: float = LEVEL) -> Estimate:
    """The mean of some values and an interval for what they are draws of; a single value has none.

    Args:
        values: one a seed; missing ones (NaN) are left out.
        interval: ``"t"``: Student's, exact where values are normal; ``"bootstrap"``: bias-corrected and accelerated,
            without that assumption but too narrow for few seeds (of its 95 % intervals over five normal values about
            85 % hold the true mean, over ten 90 %).
        level: the share of such intervals that hold the true mean.

    Raises:
        BadInputError: there are no values.

    Source: Student 1908; Efron 1987, "Better Bootstrap Confidence Intervals".
    """
    found = np.asarray([value for value in values if not math.isnan(value)], dtype=float)
    n = len(found)
    if n == 0:
        raise BadInputError("cannot estimate a mean", ["there are no values"])
    mean = float(found.mean())
    if n == 1:
        return Estimate(mean, None, None, n)
    if np.ptp(found) == 0:
        return Estimate(mean, mean, mean, n)
    if interval == "t":
        half = float(special.stdtrit(n - 1, (1 + level) / 2) * found.std(ddof=1) / n**0.5)
        low, high = mean - half, mean + half
    else:
        drawn = stats.bootstrap(
            (found,), np.mean, n_resamples=RESAMPLES, confidence_level=level, method="BCa", rng=np.random.default_rng(0)
        )
        low, high = drawn.confidence_interval
    return Estimate(mean, float(low), float(high), n)


def reference_of(against: str | Mapping[str, Any]) -> dict[str, Any]:
    """What differences are taken from: a stage (``"gold"``), ``"axis=value"``, or a mapping from axes to values.

    Raises:
        BadInputError: it is none of these.
    """
    if isinstance(against, Mapping):
        reference = dict(against)
    elif against in STAGES:
        reference = {"stage": against}
    else:
        axis, equals, value = against.partition("=")
        reference = {axis: value} if equals else {}
    unknown = [axis for axis in reference if axis not in PLACE or axis == "seed"]
    if not reference or unknown:
        raise BadInputError(
            f"cannot compare with {against!r}",
            [f"give a stage ({', '.join(STAGES)}) or axis=value, e.g. healer=Healer(strategy='retain')"],
        )
    return reference


def differences(frame: pd.DataFrame, against: str | Mapping[str, Any]) -> pd.DataFrame:
    """Each value minus that of its reference with the same seed and all other axes the same.

    Rows without such a reference, and the reference itself, are left out.

    Args:
        frame: measurements as `read` gives them, of numbers.
        against: see `reference_of`.
    """
    reference = reference_of(against)
    itself = np.logical_and.reduce([(frame[axis] == value).to_numpy() for axis, value in reference.items()])
    axes = [axis for axis in PLACE if axis not in reference]
    theirs = _matched(frame[~itself], frame[itself], axes)
    ours = frame[~itself]
    return ours.assign(value=ours["value"] - theirs).dropna(subset=["value"]).reset_index(drop=True)


def _matched(frame: pd.DataFrame, reference: pd.DataFrame, axes: list[str]) -> pd.Series:
    """The reference's value for each row; a null in the reference matches any value, and a named one precedes it."""
    found = pd.Series(np.nan, index=frame.index)
    spread = [axis for axis in SPREAD if axis in axes]
    null = reference[spread].isna()
    for size in range(len(spread) + 1):
        for free in combinations(spread, size):
            same = np.logical_and.reduce([null[axis].to_numpy() == (axis in free) for axis in spread] or [True])
            part = reference[np.broadcast_to(same, len(reference))]
            if part.empty:
                continue
            keys = [*(axis for axis in axes if axis not in free), "measure"]
            values = frame[keys].merge(part[[*keys, "value"]], on=keys, how="left")["value"]
            found = found.fillna(pd.Series(values.to_numpy(), index=frame.index))
    return found
