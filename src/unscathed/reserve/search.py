"""Search: each query's nearest candidates, exactly, by blocks of matrix products."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from unscathed.reserve.candidates import Candidates
from unscathed.training.machine import keeping_memory

GROUP = 64
"""Values whose least one tells whether any is worth a look."""
FIRST = 1024
"""Values that are all looked at, before anything is known."""
SPARE = 8
"""How many more than asked for are kept while searching: products round, and differences decide."""


def nearest(
    queries: Tensor, candidates: Candidates, count: int, *, open_to: Tensor | None = None, block: int = 2048
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
    count = min(count, len(candidates) if open_to is None else int(open_to.sum()))
    kept = queries.new_empty(len(queries), 0)
    places = torch.empty((len(queries), 0), dtype=torch.long, device=queries.device)
    if not count:
        return places, kept
    # ‖c‖² - 2 q·c ranks as ‖q - c‖² does.
    asking = -2 * queries
    with keeping_memory():  # blocks are of one size, and there are many
        for start in range(0, len(candidates), block):
            part = candidates.between(start, start + block)
            added = None if candidates.metric.unit else part.square().sum(1)
            if open_to is not None and not open_to[start : start + block].all():
                added = part.new_zeros(len(part)) if added is None else added
                added = added.masked_fill(~open_to[start : start + block], torch.inf)
            found = asking @ part.T
            if added is not None:
                found += added
            kept, places = _better(kept, places, found, start, count + SPARE)
    return by_differences(queries, candidates, kept, places, count)


def _better(kept: Tensor, places: Tensor, found: Tensor, start: int, most: int) -> tuple[Tensor, Tensor]:
    """The least values so far, and where they stand.

    Once there are enough, few of a block are better than the worst that is kept: the least value of each group tells
    in which groups these are, and only those are looked at.

    Args:
        kept: the least values before, in order, [q, k].
        places: where they stand, int64 [q, k].
        found: the values of a block, [q, b].
        start: where the block begins.
        most: how many to keep, at most.
    """
    if kept.shape[1] < most:
        first = found[:, : max(FIRST, -(-most // GROUP) * GROUP)]
        own = torch.arange(start, start + first.shape[1], device=found.device).expand(first.shape)
        kept, places = _merged(kept, places, first, own, most)
        found, start = found[:, first.shape[1] :], start + first.shape[1]
    if not found.shape[1]:
        return kept, places
    if found.shape[1] % GROUP:
        found = functional.pad(found, (0, -found.shape[1] % GROUP), value=torch.inf)
    groups = found.view(len(found), -1, GROUP)
    row, group = (groups.amin(2) < kept[:, -1:]).nonzero(as_tuple=True)
    values = groups[row, group]
    which, column = (values < kept[row, -1:]).nonzero(as_tuple=True)
    row, own, values = row[which], start + GROUP * group[which] + column, values[which, column]
    # They come row by row: what stands before a row's first is what the rows before have.
    counts = torch.bincount(row, minlength=len(kept))
    slot = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    shape = (len(kept), int(counts.max()) if len(counts) else 0)
    better, theirs = kept.new_full(shape, torch.inf), places.new_zeros(shape)
    better[row, slot], theirs[row, slot] = values, own
    return _merged(kept, places, better, theirs, most)


def _merged(kept: Tensor, places: Tensor, found: Tensor, own: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The least of both, in order, and where they stand."""
    if not found.shape[1]:
        return kept, places
    best = torch.cat([kept, found], 1).topk(min(most, kept.shape[1] + found.shape[1]), 1, largest=False, sorted=True)
    return best.values, torch.cat([places, own], 1).gather(1, best.indices)


def by_differences(
    queries: Tensor, candidates: Candidates, kept: Tensor, places: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """The nearest of a few, by the squares of their differences.

    Args:
        queries: places, [q, e].
        candidates: among whom.
        kept: infinite for those that may not be found, [q, k].
        places: which candidates, int64 [q, k].
        count: how many.

    Returns:
        As `nearest`.
    """
    places, order = places.sort(dim=1)
    squared = torch.empty_like(kept)
    for start in range(0, len(queries), 256):
        rows = slice(start, start + 256)
        squared[rows] = (candidates.at(places[rows]) - queries[rows, None]).square().sum(-1)
    squared = torch.where(kept.gather(1, order).isinf(), torch.inf, squared)
    best = squared.sort(dim=1, stable=True)
    return places.gather(1, best.indices)[:, :count], best.values[:, :count]
