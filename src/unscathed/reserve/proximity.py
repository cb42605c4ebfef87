"""Too close: a spare that is nearly the forgotten sample would teach it again."""

from __future__ import annotations

import torch
from torch import Tensor

from unscathed.reserve.candidates import Candidates
from unscathed.reserve.search import nearest
from unscathed.similarity import Metric

QUANTILE = 0.01
FEWEST = 20
"""Distances, below which number their quantile says nothing."""
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
