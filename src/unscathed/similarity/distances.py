"""Distances between vectors. Each is brought to a place where the straight distance ranks as it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from unscathed.similarity.spaces import Features, Space


class Metric(Protocol):
    """A distance, made ready for vectors.

    Whatever the distance, it is a rising function of the squared Euclidean distance between vectors that were moved to
    their place: one search, of matrix products, serves all.
    """

    unit: bool
    """Whether all places are of length 1, so that products alone rank them."""

    def place(self, vectors: Tensor, label: int | None = None) -> Tensor:
        """Where vectors are compared, float32 [n, e].

        Args:
            vectors: float32 [n, d].
            label: the class of the forgotten samples that are compared, where the distance differs by class.
        """

    def distance(self, squared: Tensor) -> Tensor:
        """The distance, of any shape, from the squared Euclidean one between places."""


class Similarity(Protocol):
    """A distance in a space."""

    @property
    def space(self) -> Space:
        """Where samples are compared."""

    def fit(self, vectors: Tensor, labels: Tensor | None) -> Metric:
        """Make the distance ready, from the vectors of samples like those compared (the spares).

        Args:
            vectors: float32 [n, d].
            labels: their classes, int64 [n]; None where there are none.
        """


@dataclass(frozen=True)
class Cosine:
    """``1 - cos(a, b)``, between 0 (same direction) and 2.

    Args:
        space: where samples are compared.
    """

    space: Space = field(default_factory=Features)

    def fit(self, vectors: Tensor, labels: Tensor | None) -> Metric:
        """Nothing is learned from the vectors."""
        return _Direction()


@dataclass(frozen=True)
class Euclidean:
    """``‖a - b‖`` (the paper's L2).

    Args:
        space: where samples are compared.
    """

    space: Space = field(default_factory=Features)

    def fit(self, vectors: Tensor, labels: Tensor | None) -> Metric:
        """Nothing is learned from the vectors."""
        return _Position()


class _Direction:
    """On the unit sphere, ``‖a - b‖² = 2 (1 - cos)``."""

    unit = True

    def place(self, vectors: Tensor, label: int | None = None) -> Tensor:
        return functional.normalize(vectors, dim=1)

    def distance(self, squared: Tensor) -> Tensor:
        return squared / 2


class _Position:
    unit = False

    def place(self, vectors: Tensor, label: int | None = None) -> Tensor:
        return vectors

    def distance(self, squared: Tensor) -> Tensor:
        return torch.sqrt(squared)
