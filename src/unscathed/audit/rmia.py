"""RMIA: the robust membership inference attack."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unscathed.audit.attack import Attack, Observations
from unscathed.problems import Problems
from unscathed.training import ShadowMargins


@dataclass(frozen=True, kw_only=True)
class Rmia(Attack):
    """Scores a sample by the share of unseen samples z that it outdoes: how many have ``LR(x, z) ≥ γ``.

    ``LR(x, z) = r(x) / r(z)``, and ``r(x) = p(x | model) / p(x)`` is how much likelier the model finds x than models
    do on average, ``p(x | model)`` being ``exp(-loss)``, so that any task will do. Online, the average is half over
    shadow models that were trained on x and half over others. Offline, ``p(x) = ((1 + a) p_outside(x) + 1 - a) / 2``
    guesses the first half from the second: having been trained on x takes what x lacks to 1 down to a share of it.

    Since LR only compares r(x) with r(z), scores rise with r(x) alone, and counting takes a sorting, not n times m
    comparisons. So γ puts no sample before another: beyond 1 it only ties some with unseen ones that they differ from,
    whence the default of 1 (the paper has 2). There, the score of x is one minus the p-value of "x was not in the
    training data".

    An unseen sample is compared with itself too, where the ratio is 1. At γ = 1 that counts half: it is a tie.

    Args:
        online: see `Attack`.
        gamma: γ.
        offline_a: a, between 0 and 1. At 1, the default, p(x) is p_outside(x); lower values bring r(x) of samples that
            models do badly on unseen towards ``p(x | model)``, as if these were known to be learned by heart. The
            paper picks it by attacking one shadow model with the others (0.3 for CIFAR-10). Of mislabelled digits 0.3
            saw nothing (AUC 0.04, gold's 0.00), and 1 nearly all (0.96, gold's 0.05).

    Raises:
        BadInputError: γ is not positive or a is out of range.

    Source: Zarifzadeh, Liu and Shokri 2024, "Low-Cost High-Power Membership Inference Attacks" (arXiv 2312.03262): the
    pairwise likelihood ratio, and its offline approximation. That scores rise with r(x): Lassila et al. 2025.
    """

    name = "RMIA"

    online: bool = True
    gamma: float = 1.0
    offline_a: float = 1.0

    def __post_init__(self) -> None:
        problems = Problems("cannot use Rmia")
        problems.require(math.isfinite(self.gamma) and self.gamma > 0, f"gamma={self.gamma} must be a positive number")
        problems.require(0 <= self.offline_a <= 1, f"offline_a={self.offline_a} must lie between 0 and 1")
        problems.raise_any()

    def scores(self, asked: Observations, unseen: Observations) -> tuple[Tensor, Tensor]:
        """See `Attack`; both lie between 0 and 1."""
        ours, theirs = self._log_ratios(asked), self._log_ratios(unseen)
        ordered, step = theirs.sort().values, math.log(self.gamma)

        def outdone(ratios: Tensor) -> Tensor:
            return torch.searchsorted(ordered, ratios - step, right=True).double()

        itself = 0.5 if step == 0 else 0.0
        return outdone(ours) / len(theirs), (outdone(theirs) - itself) / len(theirs)

    def _log_ratios(self, of: Observations) -> Tensor:
        """``log r(x)`` of each sample, float64 [n]: logarithms, since losses of long sequences would end at p = 0."""
        outside = _log_mean(of.shadows, inside=False)
        if self.online:
            average = torch.logaddexp(outside, _log_mean(of.shadows, inside=True)) - math.log(2)
        else:
            guessed = torch.full_like(outside, math.log1p(-self.offline_a) if self.offline_a < 1 else -torch.inf)
            average = torch.logaddexp(outside + math.log1p(self.offline_a), guessed) - math.log(2)
        return -of.model.losses.double() - average


def _log_mean(margins: ShadowMargins, *, inside: bool) -> Tensor:
    """The log of the mean probability of each sample on one side, float64 [n]."""
    counted = margins.inside if inside else ~margins.inside
    chosen = (-margins.losses).masked_fill(~counted, -torch.inf)
    return chosen.logsumexp(dim=0) - counted.sum(dim=0).double().log()
