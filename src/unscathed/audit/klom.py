"""KLOM: whether an unlearned model's margins are distributed as gold's, sample by sample."""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy import stats
from torch import Tensor

from unscathed.audit.intervals import Difference
from unscathed.problems import Problems

BINS = 20
CLIP = 100.0
SMALLEST = 1e-5
"""What gold's probability of a bin counts as where no gold model's margin falls into it."""


def klom(models: Tensor, golds: Tensor, *, bins: int = BINS) -> Tensor:
    """The KL divergence of models' margins from gold models', sample by sample, nats, float64 [n].

    Margins are clipped to ±100 and counted in bins of equal width over the range of both; gold's empty bins count as
    1e-5. With few models the estimate is far above the divergence, even where that is 0: of N margins many fall where
    no gold's does, and each of these adds ``log(1e5 / N) / N``. So it says nothing without its floor (`compare_klom`).

    Args:
        models: margins of the models, each with its own seed, [models, n].
        golds: of models that were retrained, each with its own seed, [golds, n].
        bins: how many.

    Raises:
        BadInputError: there are no models on a side, or they saw different samples.

    Source: Georgiev et al. 2024, "Attribute-to-Delete: Machine Unlearning via Datamodel Matching", appendix E.1.
    """
    problems = Problems("cannot compare margins")
    problems.require(
        models.ndim == 2 and golds.ndim == 2 and models.shape[1:] == golds.shape[1:],
        f"margins are {list(models.shape)} and {list(golds.shape)}; give [models, n] and [golds, n]",
    )
    problems.require(len(models) > 0 and len(golds) > 0, "there are no models on a side")
    problems.require(bins >= 1, f"bins={bins} must be at least 1")
    problems.raise_any()
    ours, theirs = (part.double().clamp(-CLIP, CLIP) for part in (models, golds))
    both = torch.cat([ours, theirs])
    start = both.amin(dim=0)
    # Where all margins agree, any width will do: they share a bin.
    width = (both.amax(dim=0) - start).clamp_min(torch.finfo(torch.float64).tiny) / bins

    def shares(part: Tensor) -> Tensor:
        place = ((part - start) / width).long().clamp(0, bins - 1)
        counts = torch.zeros(part.shape[1], bins, dtype=torch.float64)
        return counts.scatter_add_(1, place.T, torch.ones(part.shape[::-1], dtype=torch.float64)) / len(part)

    p, q = shares(ours), shares(theirs)
    # Gold's shares are brought back to a sum of 1, or the divergence could be negative.
    q = torch.where(p > 0, q.clamp_min(SMALLEST), q)
    q = q / q.sum(dim=1, keepdim=True)
    return torch.where(p > 0, p * (p / q).log(), 0.0).sum(dim=1)


class Klom(NamedTuple):
    """KLOM of each sample, and its floor: the same of gold models from gold models, over as many of each.

    Args:
        values: of the models, nats, float64 [n].
        floor: of gold, nats, float64 [n].
        each: how many models a side were compared.
        bins: how many.
        error: the standard error of ``values.mean() - ratio * floor.mean()``.
        ratio: see `compare_klom`.
    """

    values: Tensor
    floor: Tensor
    each: int
    bins: int
    error: float
    ratio: float

    @property
    def difference(self) -> Difference:
        """Mean KLOM against its mean floor; the interval is placed for a bound of ``(ratio - 1) * floor``."""
        value, floor = float(self.values.mean()), float(self.floor.mean())
        reach = float(stats.t.ppf(0.975, self.each - 1)) * self.error
        return Difference(value, floor, value - floor - reach, value - floor + reach, self.error)


def compare_klom(
    models: Tensor, golds: Tensor, *, more_golds: Tensor | None = None, bins: int | None = None, ratio: float = 1.5
) -> Klom:
    """KLOM of models from gold, beside that of gold from gold.

    The estimate's bias depends on how many models there are, so the same number is compared everywhere: the models
    with each of two sets of gold, and these with each other, either way; what is left over is not used.

    The interval leaves out one model of each set at a time (the jackknife, with Student's t): models are what is drawn
    at random here, and samples are those that were asked about. It errs on the wide side, so that 8 models rarely
    suffice to pass, and 16 do.

    Args:
        models: margins of the models, each with its own seed, [models, n].
        golds: of gold models, each with its own seed, [golds, n].
        more_golds: a second set of them; by default ``golds`` is split in halves.
        bins: how many; by default half as many as models a side, from 2 to 20. At the paper's 20, the floor of few
            models is next to the most that KLOM can be (``log 1e5`` is 11.5 nats), and no multiple of it is ever
            exceeded. Of normal margins, 1.5 times the floor is exceeded by a shift of 0.6 standard deviations with 4
            models, 0.7 with 8 and 16, 0.8 with 32 and 0.5 with 100; with 20 bins throughout, by none with 4 models, by
            3.8 deviations with 8, and by 1.6 with 16.
        ratio: how many times the floor is tolerated; the interval is that of the difference from it.

    Raises:
        BadInputError: there are fewer than two models, or fewer than two gold models a set.
    """
    problems = Problems("cannot compare margins with gold's")
    first = golds[: len(golds) // 2] if more_golds is None else golds
    second = golds[len(golds) // 2 :] if more_golds is None else more_golds
    each = min(len(models), len(first), len(second))
    problems.require(
        each >= 2,
        f"{len(models)} models and {len(first)} and {len(second)} gold models are too few; give at least 2 models and "
        "4 gold models (8 and 16 to see much)",
    )
    problems.raise_any()
    count = max(2, min(BINS, each // 2)) if bins is None else bins
    sets = [part[:each] for part in (models, first, second)]

    def compared(keep: Tensor) -> tuple[Tensor, Tensor]:
        ours, one, other = (part[keep] for part in sets)
        values = (klom(ours, one, bins=count) + klom(ours, other, bins=count)) / 2
        return values, (klom(one, other, bins=count) + klom(other, one, bins=count)) / 2

    everyone = torch.arange(each)
    values, floor = compared(everyone)
    without = []
    for left_out in range(each):
        ours, theirs = compared(everyone[everyone != left_out])
        without.append(ours.mean() - ratio * theirs.mean())
    spread = torch.stack(without)
    error = float(((each - 1) / each * (spread - spread.mean()).square().sum()).sqrt())
    return Klom(values, floor, each, count, error, ratio)
