"""Neighbours of spares among the spares, themselves left out."""

from __future__ import annotations

import torch
from torch import Tensor

from unscathed.reserve.candidates import Candidates
from unscathed.reserve.search import nearest
from unscathed.similarity import Euclidean


def neighbours(vectors: Tensor, count: int) -> Tensor:
    """The nearest others of each vector, nearest first, int64 [n, k]; k is at most n - 1.

    Args:
        vectors: float32 [n, d].
        count: how many.
    """
    candidates = Candidates(vectors, Euclidean().fit(vectors, None))
    parts = [torch.empty(0, min(count, max(len(vectors) - 1, 0)), dtype=torch.long)]
    for start in range(0, len(vectors), 1024):
        own = torch.arange(start, min(start + 1024, len(vectors)))
        found, _ = nearest(vectors[own], candidates, count + 1)
        # Oneself may stand anywhere among one's copies, or nowhere where there are many.
        others = (found == own[:, None]).int().argsort(dim=1, stable=True)
        parts.append(found.gather(1, others)[:, : parts[0].shape[1]])
    return torch.cat(parts)
