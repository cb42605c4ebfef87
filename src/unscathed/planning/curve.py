"""Curve: loss against the size of the reserve, with intervals, never rising; and where it meets what is tolerated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats
from sklearn.isotonic import IsotonicRegression

LEVEL = 0.95


class Mean(NamedTuple):
    """A mean over seeds and Student's 95 % interval (infinite where there is one value)."""

    mean: float
    low: float
    high: float
    n: int


def mean_of(values: Iterable[float]) -> Mean:
    """The mean of values, one a seed."""
    found = np.asarray(list(values), dtype=float)
    middle = float(found.mean())
    if len(found) < 2:
        return Mean(middle, -np.inf, np.inf, len(found))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(found) - 1) * found.std(ddof=1) / len(found) ** 0.5)
    return Mean(middle, middle - half, middle + half, len(found))


@dataclass(frozen=True)
class Curve:
    """Mean loss at each size, decreasing.

    Args:
        shares: the sizes, as shares of the samples, increasing.
        mean: the loss.
        low: the lower end of its 95 % interval.
        high: its upper end.
        limit: its one-sided 95 % upper limit: with this confidence it is no higher.
        seeds: how many values each mean is of.
    """

    shares: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    limit: tuple[float, ...]
    seeds: tuple[int, ...]


def fit_curve(losses: Iterable[tuple[float, float]]) -> Curve:
    """Fit the curve to ``(share, loss)`` of each pilot.

    A larger reserve can only help, so the means are regressed to a decreasing curve (and with them the ends of their
    intervals). Student's intervals take the spread over seeds to be the same at all sizes: with the few seeds that a
    pilot affords, each size alone says too little about it. Sizes may have unequal numbers of seeds.

    Args:
        losses: at least one share has two or more of them.

    Source: Barlow et al. 1972, "Statistical Inference under Order Restrictions" (the regression).
    """
    by_share: defaultdict[float, list[float]] = defaultdict(list)
    for share, loss in losses:
        by_share[share].append(loss)
    shares = sorted(by_share)
    counts = np.array([len(by_share[s]) for s in shares])
    means = np.array([np.mean(by_share[s]) for s in shares])
    squares = sum(float(np.square(np.array(by_share[s]) - m).sum()) for s, m in zip(shares, means, strict=True))
    freedom = int((counts - 1).sum())
    error = np.sqrt(squares / freedom / counts)

    def decreasing(values: np.ndarray) -> tuple[float, ...]:
        fitted = IsotonicRegression(increasing=False).fit_transform(np.array(shares), values, sample_weight=counts)
        return tuple(fitted.tolist())

    two, one = (float(stats.t.ppf(p, freedom)) for p in ((1 + LEVEL) / 2, LEVEL))
    return Curve(
        tuple(shares),
        decreasing(means),
        decreasing(means - two * error),
        decreasing(means + two * error),
        decreasing(means + one * error),
        tuple(counts.tolist()),
    )


def crossing(shares: Sequence[float], values: Sequence[float], tolerance: float) -> float | None:
    """The smallest share at which decreasing values, joined by straight lines, are tolerated; None where none is."""
    for place, (share, value) in enumerate(zip(shares, values, strict=True)):
        if value <= tolerance:
            if place == 0:
                return share
            before, above = shares[place - 1], values[place - 1]
            return before + (share - before) * (above - tolerance) / (above - value)
    return None
