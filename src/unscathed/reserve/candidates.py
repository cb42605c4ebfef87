"""Candidates: the vectors among which twins are sought, brought to their places a block at a time."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unscathed.similarity import Metric


@dataclass(frozen=True)
class Candidates:
    """Some rows of many vectors; neither a copy of them nor of their places is ever whole in memory.

    Args:
        vectors: float32 [n, d].
        metric: which says where they are compared.
        rows: which of them are candidates, int64 [c]; None: all.
        label: the class for which they are compared (`Metric.place`).
    """

    vectors: Tensor
    metric: Metric
    rows: Tensor | None = None
    label: int | None = None

    def __len__(self) -> int:
        return len(self.vectors) if self.rows is None else len(self.rows)

    def between(self, start: int, stop: int) -> Tensor:
        """Places of candidates from one to before another, [b, e]."""
        if self.rows is None:
            return self.metric.place(self.vectors[start:stop], self.label)
        return self.metric.place(self.vectors[self.rows[start:stop]], self.label)

    def at(self, positions: Tensor) -> Tensor:
        """Places of the candidates at these positions (int64, of any shape, counted among them), [..., e]."""
        places = self.metric.place(self.vectors[self.positions(positions.flatten())], self.label)
        return places.view(*positions.shape, places.shape[-1])

    def positions(self, found: Tensor) -> Tensor:
        """Which rows of all vectors candidates are, int64, of any shape."""
        return found if self.rows is None else self.rows[found]

    def placed(self, vectors: Tensor) -> Tensor:
        """Places of other vectors [q, d], which are compared with these, [q, e]."""
        return self.metric.place(vectors, self.label)
