"""Matching: from forgotten samples to their twins, class by class, past what is too close."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unscathed.reserve.assignment import NONE_LEFT, Assignment, Neighbours, in_order, jointly
from unscathed.reserve.candidates import Candidates
from unscathed.reserve.proximity import too_close
from unscathed.reserve.vectors import SpareVectors
from unscathed.samples import Samples

KEEP = 8
"""Nearest spares that are searched for each forgotten sample at once."""


@dataclass
class Matching:
    """Matches forgotten samples with spares.

    Args:
        spares: all of them.
        unspent: which may be taken, bool [n]. Those that are refused are struck out.
        vectors: of the spares, up to date.
        assignment: in order, or jointly.
        radius: the distance within which a spare is refused; copies always are.
        across_classes: whether twins may be of another class.
        chosen: which spare each forgotten sample got, by their positions.
        distances: how far it is.
        refused: which forgotten sample a refused spare is too close to.
    """

    spares: Samples
    unspent: Tensor
    vectors: SpareVectors
    assignment: Assignment
    radius: float
    across_classes: bool
    chosen: dict[int, int] = field(default_factory=dict)
    distances: dict[int, float] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)

    def run(self, forget: Samples, partners: Mapping[int, int] | None = None) -> None:
        """Find a twin for each of these samples for which there is one.

        Args:
            forget: the samples.
            partners: a spare that was set aside for some of them, by positions; it goes to no one else first.
        """
        assert self.vectors.source is not None
        source = self.vectors.source
        made = self.vectors.similarity.space.vectors(forget, source).cpu()
        groups = list(self._groups(source.task.labels(forget.targets), len(forget)))
        queries = [candidates.placed(made[rows]) for rows, candidates in groups]
        # All that is too close to anyone is struck out before the first spare is given away.
        found = [
            self._refuse(forget.at(rows), rows, own, candidates)
            for (rows, candidates), own in zip(groups, queries, strict=True)
        ]
        for position, spare in (partners or {}).items():
            if self.unspent[spare]:
                self.chosen[position] = spare
                self.unspent[spare] = False
        for (rows, candidates), own, first in zip(groups, queries, found, strict=True):
            self._measure_partners(rows, own, candidates)
            left = torch.tensor([int(row) not in self.chosen for row in rows])
            self._assign(rows[left], own[left], candidates, (first[0][left], first[1][left]))

    def _groups(self, labels: Tensor | None, count: int) -> Iterator[tuple[Tensor, Candidates]]:
        """Positions of forgotten samples, and whom they may get: class by class, or all where classes do not count."""
        if labels is None or self.vectors.labels is None or self.across_classes:
            yield torch.arange(count), self.vectors.candidates()
            return
        for label in torch.unique(labels).tolist():
            yield (labels == label).nonzero().flatten(), self.vectors.candidates(label)

    def _refuse(self, forget: Samples, rows: Tensor, queries: Tensor, candidates: Candidates) -> Neighbours:
        """Strike out what is too close; returns each query's nearest, those that were struck out among them."""
        wanting = torch.arange(len(queries))
        found, far = self.vectors.nearest(queries, candidates, KEEP, self._open(candidates))
        first = found, far
        while found.numel():
            close = too_close(forget.at(wanting), queries[wanting], self.spares, candidates, (found, far), self.radius)
            for row, column in close.nonzero().tolist():
                spare = int(candidates.positions(found[row, column]))
                self.refused.setdefault(spare, int(rows[wanting[row]]))
                self.unspent[spare] = False
            # Where all that was found is too close, there may be more.
            wanting = wanting[close.all(dim=1)]
            if not len(wanting):
                break
            found, far = self.vectors.nearest(queries[wanting], candidates, KEEP, self._open(candidates))
        return first

    def _assign(self, rows: Tensor, queries: Tensor, candidates: Candidates, first: Neighbours) -> None:
        free = self._open(candidates)
        metric = self.vectors.metric
        if self.assignment == "joint":
            match, squared = jointly(queries, candidates, free, cost=metric.distance)
        else:
            match, squared = in_order(queries, candidates, free, first)
        got = (match != NONE_LEFT).nonzero().flatten()
        asked, given = rows[got].tolist(), candidates.positions(match[got]).tolist()
        self.chosen.update(zip(asked, given, strict=True))
        self.distances.update(zip(asked, metric.distance(squared[got]).tolist(), strict=True))

    def _measure_partners(self, rows: Tensor, queries: Tensor, candidates: Candidates) -> None:
        for query, row in enumerate(rows.tolist()):
            if row in self.chosen:
                place = candidates.placed(self.vectors.at(self.chosen[row]))
                squared = (place - queries[query]).square().sum()
                self.distances[row] = float(self.vectors.metric.distance(squared))

    def _open(self, candidates: Candidates) -> Tensor:
        return self.unspent if candidates.rows is None else self.unspent[candidates.rows]
