"""Matching: the nearest unspent spare for each forgotten sample, each spare at most once, exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from unscathed.similarity import Similarity

NONE_LEFT = -1


def nearest_once(
    similarity: Similarity, queries: Tensor, candidates: Tensor, *, keep: int = 64, block: int = 4096
) -> tuple[Tensor, Tensor]:
    """For each query, in order, its nearest candidate that no earlier query took.

    Distances are matrix products over blocks of queries; each query keeps its ``keep`` nearest. One that finds
    all of these taken looks again among what is left, so the answer is exact whatever ``keep`` is. (Which of several
    equally near candidates a query gets is not specified.)

    Args:
        similarity: the distance.
        queries: embedded, [q, d].
        candidates: embedded, [c, d].
        keep: nearest candidates remembered for each query.
        block: queries a product.

    Returns:
        Which candidate each query got, int64 [q] (`NONE_LEFT` once all are taken), and at what distance,
        float32 [q] (NaN there).
    """
    count, available = len(queries), len(candidates)
    match = torch.full((count,), NONE_LEFT, dtype=torch.long)
    distance = torch.full((count,), float("nan"))
    free = torch.ones(available, dtype=torch.bool)
    keep = min(keep, available)
    for start in range(0, min(count, available), block):
        rows = similarity.distances(queries[start : start + block], candidates)
        near, order = rows.topk(keep, dim=1, largest=False, sorted=True)
        for row in range(len(rows)):
            if start + row >= available:  # each query before this one took a candidate
                return match, distance
            open_places = free[order[row]].nonzero()
            if len(open_places):
                place = int(open_places[0])
                chosen, far = int(order[row, place]), float(near[row, place])
            else:
                left = torch.where(free, rows[row], torch.inf)
                chosen = int(left.argmin())
                far = float(left[chosen])
            free[chosen] = False
            match[start + row], distance[start + row] = chosen, far
    return match, distance
