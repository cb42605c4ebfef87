"""Differences with 95 % intervals: what every audit decides on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from unscathed.training.seeds import generator


@dataclass(frozen=True)
class Difference:
    """A measure of a model, the reference's, and how far apart the two are.

    Args:
        value: of the model.
        reference: of what it is compared with.
        low: of the 95 % interval of ``value - reference``.
        high: of it.
        error: its standard error; None where only the interval is known (then taken as a normal one's).
        answers: how many right-or-wrong answers were compared, each with its own; 0 where the measure is no share.
    """

    value: float
    reference: float
    low: float
    high: float
    error: float | None = None
    answers: int = 0

    @property
    def difference(self) -> float:
        """``value - reference``."""
        return self.value - self.reference

    @property
    def standard_error(self) -> float:
        """The standard error of the difference."""
        return (self.high - self.low) / 2 / float(stats.norm.ppf(0.975)) if self.error is None else self.error

    def error_at(self, difference: float) -> float:
        """The standard error that there would have been, had the true difference been another.

        Shares of right answers cannot differ without answers that differ: to the disagreement seen come, or from it go,
        as many as make up the rest. So a model that agrees with gold shows less spread than one that does not.
        """
        if not self.answers:
            return self.standard_error
        seen = self.difference
        disagreement = abs(difference) - abs(seen) if difference * seen > 0 else abs(difference - seen)
        more = disagreement - difference**2 + seen**2
        return math.sqrt(max(0.0, self.standard_error**2 + more / self.answers))


def paired(values: Tensor, references: Tensor, *, comparisons: int = 1) -> Difference:
    """Compare two models' scores of the same samples.

    The interval is Student's, over the samples' differences and two pseudo-samples of weight one half, of which
    the second model wins one and the first the other (Agresti and Min 2005): so agreement on a handful of samples
    does not pass for certainty.

    Args:
        values: of the model, [n].
        references: of the other, [n].
        comparisons: intervals that are looked at together (Bonferroni).
    """
    differences = (values - references).double()
    scale = _scale(values, references)
    count = len(differences) + 1
    squares = float((differences - differences.mean()).square().sum()) + scale**2
    error = (squares / max(1, count - 1) / count) ** 0.5
    reach = float(stats.t.ppf(1 - 0.025 / comparisons, max(1, count - 1))) * error
    middle = float(differences.mean())
    answers = len(values) if _all_right_or_wrong(values, references) else 0
    return Difference(float(values.mean()), float(references.mean()), middle - reach, middle + reach, error, answers)


def unpaired(values: Tensor, references: Tensor, weights: Tensor | None = None) -> Difference:
    """Compare scores of some samples with those of others (Welch's interval, with pseudo-samples as in `paired`).

    Args:
        values: of the samples asked about, [n].
        references: of the samples compared with, [m].
        weights: of the latter, [m], e.g. to give classes the shares that they have among the former.
    """
    scale = _scale(values, references)
    weights = torch.ones(len(references)) if weights is None else weights
    weights = (weights / weights.sum()).double()
    reference = float((weights * references).sum())
    effective = 1 / float(weights.square().sum())
    ours = (float((values - values.mean()).square().sum()) + scale**2) / max(1, len(values)) / (len(values) + 1)
    theirs = (float((weights * (references - reference).square()).sum()) + scale**2 / effective) / (effective + 1)
    error = (ours + theirs) ** 0.5
    freedom = error**4 / (ours**2 / max(1, len(values)) + theirs**2 / max(1.0, effective))
    reach = float(stats.t.ppf(0.975, max(1.0, freedom))) * error
    middle = float(values.mean()) - reference
    return Difference(float(values.mean()), reference, middle - reach, middle + reach, error)


def resampled(
    measure: Callable[[Tensor], tuple[float, float]],
    count: int,
    *,
    resamples: int = 200,
    seed: int = 0,
    least_error: float = 0.0,
) -> Difference:
    """Compare what is no mean over samples (a minimum, a calibration error): a normal interval, of bootstrap error.

    The samples themselves give the middle: drawing them anew shifts such measures, but both models' alike.

    Args:
        measure: of the samples at some positions (int64 [n]; repeated ones count twice): the model's and the other's.
        count: of samples, n.
        resamples: how often the samples are drawn anew.
        seed: of the draws.
        least_error: of the difference, where resamples that all agree must not pass for certainty.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 12.
    """
    random = generator(seed, "bootstrap")
    drawn = [measure(torch.randint(count, (count,), generator=random)) for _ in range(resamples)]
    value, reference = measure(torch.arange(count))
    error = max(least_error, float(torch.tensor([a - b for a, b in drawn], dtype=torch.float64).std()))
    reach = float(stats.norm.ppf(0.975)) * error
    return Difference(value, reference, value - reference - reach, value - reference + reach, error)


def _scale(values: Tensor, references: Tensor) -> float:
    """How large one sample's difference can be: 1 for shares, else what is seen."""
    both = torch.cat([values, references])
    if float(both.min()) >= 0 and float(both.max()) <= 1:
        return 1.0
    return float(both.max() - both.min())


def _all_right_or_wrong(values: Tensor, references: Tensor) -> bool:
    both = torch.cat([values, references])
    return bool(((both == 0) | (both == 1)).all())
