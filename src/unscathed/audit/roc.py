"""True positives at a low rate of false ones: how many members can be named without accusing many others."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats
from torch import Tensor

from unscathed.audit.intervals import Difference
from unscathed.problems import Problems


@dataclass(frozen=True)
class TruePositives:
    """The share of members that an attack names, at a rate of non-members that it names with them.

    Args:
        rate: the rate of false positives.
        value: the share, where as many of the non-members at hand are named as the rate allows.
        low: of the 95 % interval of the share at that rate.
        high: of it.
        resolved: whether there are non-members enough to speak of the rate at all: one at least may be named.
    """

    rate: float
    value: float
    low: float
    high: float
    resolved: bool


def true_positives(members: Tensor, others: Tensor, rate: float) -> TruePositives:
    """How many members score above all but a share of the non-members.

    The interval holds at any number of samples, whatever the scores' distribution: order statistics of the
    non-members bound the threshold (a rate that few of them speak of is known badly), and Clopper-Pearson the share of
    members above each bound; errors of both add up to 5 %. So at 0.1 % its lower end is 0 until about 4,400
    non-members bound the threshold from above, and with fewer than 1,000 nothing is resolved.

    Args:
        members: their scores, [n], higher for likelier members.
        others: the non-members', [m].
        rate: of false positives, between 0 and 1.

    Raises:
        BadInputError: there are no scores, or the rate is none.

    Source: Carlini et al. 2022, section III (the measure); Clopper and Pearson 1934.
    """
    problems = Problems("cannot count true positives")
    problems.require(0 < rate < 1, f"rate={rate} must lie between 0 and 1")
    problems.require(len(members) > 0 and len(others) > 0, "there must be scores of members and of others")
    problems.raise_any()
    n, m = len(members), len(others)
    ordered = others.double().sort(descending=True).values.tolist()

    def above(named: int) -> int:
        """Members above the threshold that names so many of the others at most."""
        if named < 0:
            return 0
        return n if named >= m else int((members > ordered[named]).sum())

    # How many of m non-members exceed the true threshold is binomial: beyond these counts lie 1.25 % a side.
    fewest, most = (int(stats.binom.ppf(p, m, rate)) for p in (TAIL, 1 - TAIL))
    low, high = above(fewest - 1), above(most)
    return TruePositives(
        rate=rate,
        value=above(math.floor(rate * m + 1e-9)) / n,
        low=float(stats.beta.ppf(TAIL, low, n - low + 1)) if low else 0.0,
        high=float(stats.beta.ppf(1 - TAIL, high + 1, n - high)) if high < n else 1.0,
        resolved=rate * m + 1e-9 >= 1,
    )


TAIL = 0.0125
"""Of the threshold's bounds and of the share's, on each side: together 5 %."""


def compare_true_positives(ours: TruePositives, reference: TruePositives | None = None) -> Difference:
    """A model's true positives against a reference model's on the same samples, or without one against chance.

    Chance names as many members as others: the share is the rate. The interval of a difference takes each share's own
    and adds their errors as squares; that two models are attacked on the same samples makes it wider than it need be.
    Where the rate is not resolved, nothing is known of the difference.

    Args:
        ours: of the model.
        reference: of the other.

    Source: Zou and Donner 2008, "Construction of Confidence Limits About Effect Measures" (MOVER).
    """
    if not ours.resolved:
        return Difference(ours.value, ours.rate if reference is None else reference.value, -1.0, 1.0)
    if reference is None:
        return Difference(ours.value, ours.rate, ours.low - ours.rate, ours.high - ours.rate)
    difference = ours.value - reference.value
    below = math.hypot(ours.value - ours.low, reference.high - reference.value)
    beyond = math.hypot(ours.high - ours.value, reference.value - reference.low)
    return Difference(ours.value, reference.value, max(-1.0, difference - below), min(1.0, difference + beyond))
