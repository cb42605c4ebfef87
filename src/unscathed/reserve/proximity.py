"""Too close: a spare that is nearly the forgotten sample would teach it again."""

from __future__ import annotations

import torch
from torch import Tensor

from unscathed.reserve.candidates import Candidates
from unscathed.reserve.search import nearest
from unscathed.samples import Samples
from unscathed.similarity import Metric

QUANTILE = 0.01
FEWEST = 20
"""Distances, below which number their quantile says nothing."""
NO_DISTANCE = 1e-3
"""Squared distance, as a share of a vector's squared length, that rounding may put between copies."""
MOST = 1024
"""Samples whose nearest other is sought."""


def calibrated_radius(metric: Metric, vectors: Tensor, labels: Tensor | None) -> float:
    """The distance within which two samples are hardly distinct: all but 1 % of distinct ones are farther apart.

    Of up to 1,024 samples, evenly taken, the distance to the nearest other of the class is measured; copies (at no
    distance at all) are left out. Where there are fewer than 20 distances, nothing can be said, and it is 0.

    Args:
        metric: the distance.
        vectors: of distinct samples, float32 [n, d].
        labels: their classes, int64 [n]; None compares all with all.
    """
    if len(vectors) < FEWEST:
        return 0.0
    groups: list[tuple[int | None, Tensor]] = [(None, torch.arange(len(vectors)))]
    if labels is not None:
        groups = [(int(c), (labels == c).nonzero().flatten()) for c in torch.unique(labels)]
    found = []
    for label, rows in groups:
        candidates = Candidates(vectors, metric, rows, label)
        share = max(1, round(MOST * len(rows) / len(vectors)))
        asked = torch.linspace(0, len(rows) - 1, min(share, len(rows))).long()
        # One of the three is the sample itself, and another may be a copy of it.
        near, squared = nearest(candidates.at(asked), candidates, 3)
        distances = metric.distance(squared)
        copy = distances <= 1e-6 * distances.max()
        distances = torch.where(copy | (near == asked[:, None]), torch.inf, distances)
        found.append(distances.min(dim=1).values)
    apart = torch.cat(found)
    apart = apart[torch.isfinite(apart)]
    return float(torch.quantile(apart, QUANTILE)) if len(apart) >= FEWEST else 0.0


def too_close(
    of: Samples, queries: Tensor, among: Samples, candidates: Candidates, near: tuple[Tensor, Tensor], radius: float
) -> Tensor:
    """Which of their nearest are nearly the same as samples: within the radius, or of the very same content.

    Args:
        of: the samples.
        queries: their places, float32 [q, e].
        among: the samples whose vectors the candidates are rows of.
        candidates: among whom the nearest were sought.
        near: what `nearest` found, [q, k] each.
        radius: the distance; 0 leaves copies.

    Returns:
        bool [q, k].
    """
    found, squared = near
    close = candidates.metric.distance(squared) <= radius if radius > 0 else torch.zeros_like(found, dtype=torch.bool)
    # A copy's vector may differ by rounding, so contents decide.
    perhaps = ~close & (squared <= NO_DISTANCE * queries.square().sum(1, keepdim=True))
    for query, column in perhaps.nonzero().tolist():
        there = candidates.positions(found[query, column])
        close[query, column] = torch.equal(among.take(there[None]).inputs, of.take(torch.tensor([query])).inputs)
    return close
