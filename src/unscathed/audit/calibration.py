"""Calibration: is a model as often right as it says it will be?"""

from __future__ import annotations

import torch
from torch import Tensor

from unscathed.audit.intervals import Difference, resampled
from unscathed.samples import Samples
from unscathed.training import Trained


def confidences(model: Trained, samples: Samples) -> Tensor | None:
    """The probability that a model gives to the class it answers, [n]; None where it answers no classes."""
    labels = model.task.labels(samples.targets)
    if labels is None or not model.task.scores_are_shares:
        return None
    outputs = model.outputs(samples)
    return outputs.softmax(dim=1).amax(dim=1) if isinstance(outputs, Tensor) and outputs.ndim == 2 else None


def calibration_error(confidence: Tensor, right: Tensor, bins: int = 15) -> float:
    """How far confidence is from the share of right answers, on average over equal bins of confidence.

    With few samples a bin the error of a perfectly calibrated model is not 0 either; compare models on the same.

    Args:
        confidence: the probability of each answer, [n].
        right: 1 where the answer is right, else 0, [n].
        bins: of equal width, over 0…1.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3 (ECE).
    """
    return _error(_gaps(confidence, right), _bins(confidence, bins), bins)


def compare_calibration(
    confidence: Tensor,
    right: Tensor,
    reference_confidence: Tensor,
    reference_right: Tensor,
    *,
    bins: int = 15,
    resamples: int = 200,
    seed: int = 0,
) -> Difference:
    """A model's calibration error against a reference's on the same samples, with a bootstrap interval.

    Args:
        confidence: of the model's answers, [n].
        right: whether they are right, [n].
        reference_confidence: of the reference's answers to the same, [n].
        reference_right: whether those are right, [n].
        bins: see `calibration_error`.
        resamples: how often the samples are drawn anew.
        seed: of the draws.
    """
    gaps = _gaps(confidence, right), _gaps(reference_confidence, reference_right)
    places = _bins(confidence, bins), _bins(reference_confidence, bins)

    def errors(chosen: Tensor) -> tuple[float, float]:
        ours, theirs = (_error(g[chosen], p[chosen], bins) for g, p in zip(gaps, places, strict=True))
        return ours, theirs

    return resampled(errors, len(confidence), resamples=resamples, seed=seed)


def _gaps(confidence: Tensor, right: Tensor) -> Tensor:
    return confidence.double() - right.double()


def _bins(confidence: Tensor, bins: int) -> Tensor:
    # Bins are open below, as in the source, so that full confidence falls into the last.
    return (confidence.double() * bins).ceil().long().sub(1).clamp(0, bins - 1)


def _error(gaps: Tensor, places: Tensor, bins: int) -> float:
    sums = torch.zeros(bins, dtype=torch.float64).index_add_(0, places, gaps)
    return float(sums.abs().sum()) / len(gaps)
