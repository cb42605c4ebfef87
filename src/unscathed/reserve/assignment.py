"""Assignment: who gets which candidate, each at most once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from torch import Tensor

from unscathed.reserve.candidates import Candidates
from unscathed.reserve.search import nearest

Assignment = Literal["in order", "joint"]
Neighbours = tuple[Tensor, Tensor]
"""Each query's nearest candidates and their squared distances, as `nearest` gives them."""
NONE_LEFT = -1


def in_order(
    queries: Tensor, candidates: Candidates, free: Tensor, first: Neighbours | None = None, *, keep: int = 16
) -> tuple[Tensor, Tensor]:
    """For each query, in order, its nearest candidate that no earlier query took (the paper's rule).

    Each query's ``keep`` nearest are searched at once. One that finds all of these taken looks again among what is
    left, so the answer is exact whatever ``keep`` is. Of equally near candidates any may be taken.

    Args:
        queries: places, float32 [q, e].
        candidates: among whom.
        free: which may be taken, bool [c].
        first: each query's nearest among candidates of which the free ones are a part, where they are known already.
        keep: nearest candidates remembered for each query.

    Returns:
        Which candidate each query got, int64 [q] (`NONE_LEFT` once all are taken), and at what squared distance,
        float32 [q] (NaN there).
    """
    match, squared = _nothing(len(queries))
    free = free.clone()
    waiting = torch.arange(len(queries))
    while len(waiting) and free.any():
        found, far = first or nearest(queries[waiting], candidates, keep, open_to=free)
        first = None
        stuck: list[int] = []
        for query, row, distances in zip(waiting.tolist(), found.tolist(), far.tolist(), strict=True):
            place = -1 if stuck else next((n for n, candidate in enumerate(row) if free[candidate]), -1)
            if place < 0:
                # Those after it may want what it will get, so they wait for it.
                stuck.append(query)
                continue
            match[query], squared[query] = row[place], distances[place]
            free[row[place]] = False
        waiting = torch.tensor(stuck, dtype=torch.long)
    return match, squared


def jointly(
    queries: Tensor,
    candidates: Candidates,
    free: Tensor,
    *,
    keep: int = 16,
    cost: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """The assignment with the least sum of distances over all queries.

    It is found among each query's ``keep`` nearest, with one stand-in beside them that is as far as the last of these,
    and so no farther than any candidate that was left out. Where the best such assignment uses no stand-in, no other
    candidate could better it; else more of the nearest are looked at. Where there are more queries than candidates, as
    many as possible get one.

    Args:
        queries: places, float32 [q, e].
        candidates: among whom.
        free: which may be taken, bool [c].
        keep: nearest candidates looked at first.
        cost: of a squared distance (`Metric.distance`); by default itself.

    Returns:
        As `in_order`.
    """
    match, squared = _nothing(len(queries))
    left = int(free.sum())
    if not left or not len(queries):
        return match, squared
    keep = min(keep, left)
    while True:
        found, far = nearest(queries, candidates, keep, open_to=free)
        costs = (far if cost is None else cost(far)).double()
        # All candidates are there, or none beyond the last is better than it.
        stand_in = costs[:, -1] if keep < left else costs.max().expand(len(costs)) * (len(costs) + 1) + 1
        chosen = _cheapest(found, costs, stand_in)
        if keep == left or bool((chosen < keep).all()):
            rows = (chosen < keep).nonzero().flatten()
            match[rows], squared[rows] = found[rows, chosen[rows]], far[rows, chosen[rows]]
            return match, squared
        keep = min(4 * keep, left)


def _cheapest(found: Tensor, costs: Tensor, stand_in: Tensor) -> Tensor:
    """Which of its nearest each query gets, int64 [q]; k where it gets its stand-in.

    Args:
        found: each query's nearest candidates, int64 [q, k].
        costs: float64 [q, k].
        stand_in: what a query's stand-in costs, float64 [q].
    """
    count, keep = found.shape
    wanted, column = torch.unique(found, return_inverse=True)
    columns = torch.cat([column, len(wanted) + torch.arange(count)[:, None]], dim=1)
    # A stored zero is no edge to SciPy, and what is added to all edges of a row changes no choice.
    weights = torch.cat([costs, stand_in[:, None]], dim=1) + 1
    ends = torch.arange(0, columns.numel() + 1, keep + 1)
    graph = csr_array(
        (weights.flatten().numpy(), columns.flatten().numpy(), ends.numpy()), shape=(count, len(wanted) + count)
    )
    rows, taken = (torch.from_numpy(part).long() for part in min_weight_full_bipartite_matching(graph))
    chosen = torch.empty(count, dtype=torch.long)
    chosen[rows] = (columns[rows] == taken[:, None]).int().argmax(dim=1)
    return chosen


def _nothing(count: int) -> tuple[Tensor, Tensor]:
    return torch.full((count,), NONE_LEFT, dtype=torch.long), torch.full((count,), float("nan"))
