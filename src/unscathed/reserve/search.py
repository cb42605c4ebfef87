"""Search: each query's nearest candidates, exactly, by blocks of matrix products."""

from __future__ import annotations

import torch
from torch import Tensor

from unscathed.reserve.candidates import Candidates

SPARE = 8
"""How many more than asked for are kept while searching: products round, and differences decide."""


def nearest(
    queries: Tensor, candidates: Candidates, count: int, *, open_to: Tensor | None = None, block: int = 8192
) -> tuple[Tensor, Tensor]:
    """Each query's nearest candidates, nearest first.

    Args:
        queries: places (`Candidates.placed`), float32 [q, e].
        candidates: among whom.
        count: how many, k; no more than are open.
        open_to: which candidates may be found, bool [c]; by default all.
        block: candidates a product.

    Returns:
        Which candidates, int64 [q, k], and their squared Euclidean distances, float32 [q, k]. Distances are computed
        from differences, so that near ones are exact. Of candidates that are equally near, any may be found.
    """
    available = len(candidates) if open_to is None else int(open_to.sum())
    count = min(count, available)
    kept = queries.new_empty(len(queries), 0)
    places = torch.empty((len(queries), 0), dtype=torch.long, device=queries.device)
    for start in range(0, len(candidates) if count else 0, block):
        part = candidates.between(start, start + block)
        squared = torch.addmm(part.square().sum(1), queries, part.T, alpha=-2)
        if open_to is not None:
            squared = torch.where(open_to[start : start + block], squared, torch.inf)
        own = torch.arange(start, start + len(part), device=queries.device).expand(len(queries), -1)
        best = torch.cat([kept, squared], 1).topk(min(count + SPARE, kept.shape[1] + len(part)), 1, largest=False)
        kept, places = best.values, torch.cat([places, own], 1).gather(1, best.indices)
    return _by_differences(queries, candidates, kept, places, count)


def _by_differences(
    queries: Tensor, candidates: Candidates, kept: Tensor, places: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """The nearest of a few, by the squares of their differences."""
    places, order = places.sort(dim=1)
    squared = torch.empty_like(kept)
    for start in range(0, len(queries), 256):
        rows = slice(start, start + 256)
        squared[rows] = (candidates.at(places[rows]) - queries[rows, None]).square().sum(-1)
    squared = torch.where(kept.gather(1, order).isinf(), torch.inf, squared)
    best = squared.sort(dim=1, stable=True)
    return places.gather(1, best.indices)[:, :count], best.values[:, :count]
