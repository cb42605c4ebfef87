"""Selection: which samples to hold back as spares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, get_args

import torch
from torch import Tensor

from unscathed.problems import Problems
from unscathed.samples import Samples

How = Literal["random", "k-center", "herding"]


def hold_back(
    samples: Samples, *, reserve: float | int, seed: int, how: How = "random", vectors: Tensor | None = None
) -> tuple[Samples, Samples]:
    """Hold samples back: ``(retain, spares)``, from each class its share (where targets are classes).

    ``"random"`` is `Samples.split`. ``"k-center"`` takes, one after the other, the sample that is farthest from all
    that were taken, so that no sample is far from a spare. ``"herding"`` takes, one after the other, the sample with
    which the mean of all taken is nearest to the mean of the class, so that spares are typical.

    Args:
        samples: all of them.
        reserve: the share (0 < float < 1) or the number (int) to hold back.
        seed: which ones; of ``"k-center"``, the first of each class.
        how: the rule.
        vectors: where samples are compared, float32 [n, d]: raw inputs, or an encoder's or pilot model's features (a
            model that was trained on all of them knows too much to be the one that is served). ``"random"`` needs none.

    Raises:
        BadInputError: nothing, or everything, would be held back, or there are no such vectors.

    Source: Gonzalez 1985, "Clustering to minimize the maximum intercluster distance" (k-center); Welling 2009,
    "Herding dynamical weights to learn".
    """
    problems = Problems("cannot hold a reserve back")
    allowed = get_args(How)
    problems.require(how in allowed, f"how={how!r} must be one of {', '.join(map(repr, allowed))}")
    if how != "random":
        fits = vectors is not None and vectors.ndim == 2 and len(vectors) == len(samples)
        given = "none" if vectors is None else tuple(vectors.shape)
        problems.require(fits, f"how={how!r} needs vectors [{len(samples)}, d]; given: {given}")
    problems.raise_any()
    # The same numbers of each class as a random split has.
    retain, spares = samples.split(reserve=reserve, seed=seed)
    if how == "random" or vectors is None:
        return retain, spares
    rule = farthest_first if how == "k-center" else herded
    draw = torch.Generator().manual_seed(seed)
    taken = torch.cat([rows[rule(vectors[rows].float(), count, draw)] for rows, count in _quotas(samples, spares)])
    held = torch.zeros(len(samples), dtype=torch.bool)
    held[taken] = True
    return samples.at((~held).nonzero().flatten()), samples.at(held.nonzero().flatten())


def farthest_first(vectors: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """The k-center rule: positions, int64 [count], the first drawn.

    Args:
        vectors: float32 [n, d].
        count: how many, at most n.
        draw: of the first.
    """
    taken = [int(torch.randint(len(vectors), (), generator=draw))]
    lengths = vectors.square().sum(1)
    nearest = torch.full((len(vectors),), torch.inf)
    while len(taken) < count:
        last = taken[-1]
        nearest = torch.minimum(nearest, lengths - 2 * vectors @ vectors[last] + lengths[last])
        nearest[last] = -torch.inf
        taken.append(int(nearest.argmax()))
    return torch.tensor(taken[:count], dtype=torch.long)


def herded(vectors: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """The herding rule: positions, int64 [count], most wanted first.

    Args:
        vectors: float32 [n, d].
        count: how many, at most n.
        draw: not used: this rule leaves nothing to chance.
    """
    mean, lengths = vectors.mean(0), vectors.square().sum(1)
    so_far = torch.zeros_like(mean)
    left = torch.zeros(len(vectors))
    taken: list[int] = []
    for size in range(1, count + 1):
        # ‖mean - (so_far + x) / size‖², up to what is the same for all x.
        aim = size * mean - so_far
        chosen = int((lengths - 2 * vectors @ aim + left).argmin())
        taken.append(chosen)
        left[chosen] = torch.inf
        so_far = so_far + vectors[chosen]
    return torch.tensor(taken, dtype=torch.long)


Rule = Callable[[Tensor, int, torch.Generator], Tensor]


def _quotas(samples: Samples, spares: Samples) -> Iterator[tuple[Tensor, int]]:
    """Positions of each class's samples, and how many of them are to be held back."""
    targets, held = samples.targets, spares.targets
    if targets.ndim != 1 or targets.is_floating_point():
        yield torch.arange(len(samples)), len(spares)
        return
    for label in torch.unique(held).tolist():
        yield (targets == label).nonzero().flatten(), int((held == label).sum())
