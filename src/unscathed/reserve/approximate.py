"""An approximate index, for reserves that are too large to be searched whole; what it misses is measured."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from unscathed.problems import BadInputError, Problems
from unscathed.reserve.candidates import Candidates
from unscathed.reserve.search import by_differences, nearest

ASKED = 256
"""Candidates that recall is measured with."""


@dataclass(frozen=True, kw_only=True)
class Approximate:
    """Look for the nearest only in the cells of a partition that are nearest to the query (faiss' inverted lists).

    Args:
        cells: of the partition; by default twice the root of the number of candidates.
        probes: cells that are looked at for each query.
        fewest: candidates from which on it is used; fewer are searched exactly, which is as fast.
        seed: of the partition.

    Source: Jégou et al. 2011, "Product Quantization for Nearest Neighbor Search" (inverted lists); Douze et al. 2024,
    "The Faiss library".
    """

    cells: int | None = None
    probes: int = 16
    fewest: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        problems = Problems("cannot use an approximate index")
        for name in ("cells", "probes", "fewest"):
            value = getattr(self, name)
            problems.require(value is None or value > 0, f"{name}={value} must be positive")
        problems.raise_any()

    def build(self, candidates: Candidates) -> Index | None:
        """The index of some candidates; None where they are few.

        Raises:
            BadInputError: faiss is not installed.
        """
        if len(candidates) < self.fewest:
            return None
        faiss = _faiss()
        cells = min(self.cells or 2 * round(len(candidates) ** 0.5), len(candidates))
        width = candidates.between(0, 1).shape[1]
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, cells)
        index.cp.seed = self.seed
        # Placing the cells is most of what an index costs; faiss' own default are 25 steps.
        index.cp.niter = 10
        sample = torch.randperm(len(candidates), generator=torch.Generator().manual_seed(self.seed))[: 40 * cells]
        index.train(candidates.at(sample).numpy())
        for start in range(0, len(candidates), 65_536):
            index.add(candidates.between(start, start + 65_536).numpy())
        index.nprobe = min(self.probes, cells)
        return Index(index, candidates)


class Index:
    """Candidates in cells."""

    def __init__(self, index: Any, candidates: Candidates) -> None:
        self._index = index
        self._candidates = candidates

    def nearest(self, queries: Tensor, count: int, open_to: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `search.nearest`, of what is found; where too few open ones are, all are searched."""
        closed = 0 if open_to is None else len(open_to) - int(open_to.sum())
        # What is closed is found all the same, so more are asked for.
        wanted = min(len(self._candidates), 2 * count + 16)
        _, found = self._index.search(queries.numpy(), wanted)
        places = torch.from_numpy(found).long()
        usable = places >= 0
        if open_to is not None and closed:
            usable &= open_to[places.clamp_min(0)]
        count = min(count, len(self._candidates) - closed)
        short = usable.sum(1) < count
        kept = torch.where(usable, 0.0, torch.inf)
        near, squared = by_differences(queries, self._candidates, kept, places.clamp_min(0), count)
        if short.any():
            near[short], squared[short] = nearest(queries[short], self._candidates, count, open_to=open_to)
        return near, squared

    def recall(self, count: int = 1) -> float:
        """The share of the true nearest others of some candidates that are found."""
        asked = torch.linspace(0, len(self._candidates) - 1, min(ASKED, len(self._candidates))).long()
        queries = self._candidates.at(asked)
        ours = self.nearest(queries, count + 1, None)[0]
        truth = nearest(queries, self._candidates, count + 1)[0]
        others = truth != asked[:, None]
        found = (truth[:, :, None] == ours[:, None, :]).any(dim=2)
        return float(found[others].float().mean())


def _faiss() -> Any:
    try:
        return import_module("faiss")
    except ImportError as error:
        raise BadInputError(
            "cannot make an approximate index", ["faiss is not installed; pip install 'unscathed[approximate]'"]
        ) from error
