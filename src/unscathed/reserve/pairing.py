"""Pairing: before training, a partner is found for training samples, and held back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from unscathed.problems import Problems
from unscathed.reserve.candidates import Candidates
from unscathed.reserve.search import nearest
from unscathed.samples import Samples, as_ids
from unscathed.similarity import Cosine, Similarity

KEEP = 16


@dataclass(frozen=True)
class Pairing:
    """Training samples and the partners that were held back for them.

    Args:
        retain: what to train on: all but the partners.
        spares: the partners.
        partner_of: the spare's id for each training sample that has one; `SpareSet(partners=…)` takes it.
        distances: how far apart the two are.
        alone: ids of samples for which there was none near enough.
    """

    retain: Samples
    spares: Samples
    partner_of: dict[str, str]
    distances: dict[str, float]
    alone: tuple[str, ...]

    def __str__(self) -> str:
        asked = len(self.partner_of) + len(self.alone)
        far = torch.tensor(sorted(self.distances.values()))
        middle = float(far.median()) if len(far) else float("nan")
        return f"{len(self.partner_of)} of {asked} samples have a partner, at a median distance of {middle:.3g}"

    def within(self, distance: float) -> int:
        """How many have a partner within a distance."""
        return sum(far <= distance for far in self.distances.values())


def pair(
    samples: Samples,
    vectors: Tensor,
    *,
    labels: Tensor | None = None,
    at_risk: Iterable[str | int] | None = None,
    radius: float | None = None,
    similarity: Similarity | None = None,
) -> Pairing:
    """Find a partner for training samples, of their class, and hold it back.

    The nearest two of all are paired first, then the nearest two of those that are left, and so on. A partner is never
    trained on, and so has none itself: where all samples want one, half of them are held back.

    Args:
        samples: all of them.
        vectors: where they are compared, float32 [n, d] (see `hold_back`).
        labels: their classes, int64 [n]; None pairs across classes.
        at_risk: ids of the samples that want a partner; their partners are found among the others. By default all.
        radius: the largest distance at which two are alike; None for any.
        similarity: the distance; its space is not asked, since ``vectors`` are given. By default cosine.

    Raises:
        BadInputError: ids are unknown, vectors or labels do not fit, or nothing could be paired.

    Source: the paper (arXiv 2507.10886), which calls a reserve of this kind twins.
    """
    problems = Problems("cannot pair samples")
    risky = None if at_risk is None else as_ids(at_risk)
    problems.require(
        vectors.ndim == 2 and len(vectors) == len(samples),
        f"vectors must be [{len(samples)}, d], not {tuple(vectors.shape)}",
    )
    problems.require(labels is None or len(labels) == len(samples), f"there must be {len(samples)} labels")
    problems.extend(samples.problems_with(risky or []))
    problems.require(risky is None or 0 < len(risky) < len(samples), "some, but not all, samples may be at risk")
    problems.raise_any()
    metric = (similarity or Cosine()).fit(vectors, labels)
    wanting = torch.ones(len(samples), dtype=torch.bool)
    if risky is not None:
        wanting = torch.zeros(len(samples), dtype=torch.bool)
        wanting[samples.positions(risky)] = True
    partner: dict[int, int] = {}
    distances: dict[int, float] = {}
    classes: list[int | None] = [None] if labels is None else torch.unique(labels).tolist()
    for label in classes:
        rows = torch.arange(len(samples)) if labels is None else labels.eq(label or 0).nonzero().flatten()
        candidates = Candidates(vectors, metric, rows, label)
        for one, other, far in _pairs(candidates, wanting[rows], risky is None, radius):
            partner[int(rows[one])], distances[int(rows[one])] = int(rows[other]), far
    held = torch.zeros(len(samples), dtype=torch.bool)
    held[list(partner.values())] = True
    problems.require(bool(partner), f"no two samples are within radius={radius} of each other; raise it")
    problems.raise_any()
    ids = samples.ids
    alone = [p for p in wanting.nonzero().flatten().tolist() if p not in partner and not held[p]]
    return Pairing(
        samples.at((~held).nonzero().flatten()),
        samples.at(held.nonzero().flatten()),
        {ids[p]: ids[q] for p, q in sorted(partner.items())},
        {ids[p]: far for p, far in sorted(distances.items())},
        tuple(ids[p] for p in alone),
    )


def _pairs(candidates: Candidates, wanting: Tensor, mutual: bool, radius: float | None) -> list[tuple[int, int, float]]:
    """Pairs of a class, nearest first: who wants a partner, the partner, and their distance.

    Args:
        candidates: the class.
        wanting: which want a partner, bool [c].
        mutual: whether those may be partners themselves.
        radius: the largest distance.
    """
    free = torch.ones(len(candidates), dtype=torch.bool) if mutual else ~wanting
    left, found = wanting.clone(), list[tuple[int, int, float]]()
    while left.any() and int(free.sum()) > mutual:
        asking = left.nonzero().flatten()
        # Each finds itself first where it is free.
        near, squared = nearest(candidates.at(asking), candidates, KEEP + 1, open_to=free)
        far = candidates.metric.distance(squared)
        usable = (near != asking[:, None]) & (far <= (torch.inf if radius is None else radius))
        rows, columns = usable.nonzero(as_tuple=True)
        order = far[rows, columns].argsort(stable=True)
        # Whoever is still left at its last neighbour's distance looks further before any farther pair is made.
        horizons = far[:, -1] if near.shape[1] < int(free.sum()) else torch.full((len(asking),), torch.inf)
        waiting = deque(horizons.argsort().tolist())
        before = len(found)
        for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
            one, other, distance = int(asking[row]), int(near[row, column]), float(far[row, column])
            while waiting and not left[asking[waiting[0]]]:
                waiting.popleft()
            if not waiting or distance > float(horizons[waiting[0]]):
                break
            if left[one] and free[other]:
                left[one] = free[other] = False
                if mutual:
                    free[one] = left[other] = False
                found.append((one, other, distance))
        if len(found) == before:
            break
    return found
