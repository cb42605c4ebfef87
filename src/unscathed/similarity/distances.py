"""Distances between vectors, computed as matrix products, a block at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor
from torch.nn import functional

from unscathed.samples import Samples
from unscathed.similarity.spaces import Features, Space
from unscathed.training import Trained


class Similarity(Protocol):
    """A distance in a space. Vectors are embedded once; distances are then taken between blocks of them."""

    def embed(self, samples: Samples, trained: Trained) -> Tensor:
        """What `distances` takes, float32 [n, d]."""

    def distances(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Each query's distance to each candidate, [q, c]; smaller is more alike."""


@dataclass(frozen=True)
class Cosine:
    """``1 - cos(a, b)``, between 0 (same direction) and 2.

    Args:
        space: where samples are compared.
    """

    space: Space = field(default_factory=Features)

    def embed(self, samples: Samples, trained: Trained) -> Tensor:
        """Vectors of length 1, so that a distance is one product."""
        return functional.normalize(self.space.vectors(samples, trained), dim=1)

    def distances(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """``1 - cos``, [q, c]."""
        return 1 - queries @ candidates.T


@dataclass(frozen=True)
class Euclidean:
    """``‖a - b‖`` (the paper's L2).

    Args:
        space: where samples are compared.
    """

    space: Space = field(default_factory=Features)

    def embed(self, samples: Samples, trained: Trained) -> Tensor:
        """The vectors themselves."""
        return self.space.vectors(samples, trained)

    def distances(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """``‖a - b‖``, [q, c], by ``‖a‖² + ‖b‖² - 2 a·b``."""
        squared = queries.square().sum(1)[:, None] + candidates.square().sum(1)[None] - 2 * queries @ candidates.T
        return squared.clamp_min(0).sqrt()
