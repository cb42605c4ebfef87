"""LiRA: the likelihood ratio attack."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from unscathed.audit.attack import Attack, Observations
from unscathed.problems import Problems
from unscathed.training import ShadowMargins

Variance = Literal["auto", "each", "shared"]
EACH_FROM = 32
"""Models a side from which a sample's own variance is taken: below 64 models in all, it is mostly noise."""


@dataclass(frozen=True, kw_only=True)
class Lira(Attack):
    """Fits a normal distribution to each sample's margins in the shadow models, and asks which the model's fits better.

    Online, the score is ``log p(margin | inside) - log p(margin | outside)``. Offline it is how many standard
    deviations the margin lies above its mean outside: the one-sided test's ``Λ = 1 - Pr[Z > margin]`` in the same
    order, without Λ's rounding to 1.

    Args:
        online: see `Attack`.
        variance: ``"each"`` sample's own (two models a side at least), one that all samples ``"shared"`` (over their
            deviations from their own means), or ``"auto"``: each one's from 32 models a side, otherwise shared. Where
            no sample has two models on a side, the other side's is taken, and with that unknown too, 1.

    Raises:
        BadInputError: there is no such variance.

    Source: Carlini et al. 2022, "Membership Inference Attacks From First Principles" (arXiv 2112.03570): algorithm 1,
    its one-sided offline variant, and one variance for all samples where there are few models (there of all margins;
    here of deviations within samples, so that how much samples differ from each other does not count as noise).
    """

    name = "LiRA"

    online: bool = True
    variance: Variance = "auto"

    def __post_init__(self) -> None:
        problems = Problems("cannot use Lira")
        kinds = get_args(Variance)
        problems.require(
            self.variance in kinds, f"variance={self.variance!r} must be one of {', '.join(map(repr, kinds))}"
        )
        problems.raise_any()

    def problems_with(self, asked: ShadowMargins, unseen: ShadowMargins) -> list[str]:
        """See `Attack`; a variance of each sample's own takes two models a side."""
        found = super().problems_with(asked, unseen)
        if self.variance == "each" and not found:
            fewest = min(_fewest(margins, self.online) for margins in (asked, unseen))
            if fewest < 2:
                found.append(f"a sample is in {fewest} models of a side, and has no variance; use variance='shared'")
        return found

    def scores(self, asked: Observations, unseen: Observations) -> tuple[Tensor, Tensor]:
        """See `Attack`."""
        both = (asked, unseen)
        fewest = min(_fewest(one.shadows, self.online) for one in both)
        each = self.variance == "each" or (self.variance == "auto" and fewest >= EACH_FROM)
        outside, inside = _shared(asked.shadows, unseen.shadows)

        def score(one: Observations) -> Tensor:
            margins, shadows = one.model.margins.double(), one.shadows
            out = shadows.statistics(shadows.margins, inside=False)
            spread = out.variance if each else torch.full_like(out.mean, outside)
            if not self.online:
                return (margins - out.mean) / _positive(spread).sqrt()
            within = shadows.statistics(shadows.margins, inside=True)
            their = within.variance if each else torch.full_like(within.mean, inside)
            return _log_density(margins, within.mean, their) - _log_density(margins, out.mean, spread)

        return score(asked), score(unseen)


def _fewest(margins: ShadowMargins, online: bool) -> int:
    """The fewest models that a sample has on a side that the attack looks at."""
    counts = [(~margins.inside).sum(dim=0)] + ([margins.inside.sum(dim=0)] if online else [])
    return min(int(count.min()) for count in counts)


def _shared(*margins: ShadowMargins) -> tuple[float, float]:
    """The variance within samples, outside and inside, over all of them."""
    found: list[float | None] = []
    for inside in (False, True):
        sides = [m.statistics(m.margins, inside=inside) for m in margins]
        freedom = sum(side.freedom for side in sides)
        squares = sum(float(side.squares.nansum()) for side in sides)
        found.append(squares / freedom if freedom else None)
    outside, inside_ = found
    known = next((v for v in found if v is not None), 1.0)
    return (known if outside is None else outside), (known if inside_ is None else inside_)


def _positive(variance: Tensor) -> Tensor:
    return variance.clamp_min(1e-12)


def _log_density(values: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    variance = _positive(variance)
    return -0.5 * ((values - mean).square() / variance + variance.log() + math.log(2 * math.pi))
