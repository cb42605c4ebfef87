"""Differences with 95 % intervals: what every audit decides on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor


@dataclass(frozen=True)
class Difference:
    """A measure of a model, the reference's, and how far apart the two are.

    Args:
        value: of the model.
        reference: of what it is compared with.
        low: of the 95 % interval of ``value - reference``.
        high: of it.
    """

    value: float
    reference: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """``value - reference``."""
        return self.value - self.reference


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
    return Difference(float(values.mean()), float(references.mean()), middle - reach, middle + reach)


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
    return Difference(float(values.mean()), reference, middle - reach, middle + reach)


def _scale(values: Tensor, references: Tensor) -> float:
    """How large one sample's difference can be: 1 for shares, else what is seen."""
    both = torch.cat([values, references])
    if float(both.min()) >= 0 and float(both.max()) <= 1:
        return 1.0
    return float(both.max() - both.min())
