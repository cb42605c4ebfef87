"""Mahalanobis distance: differences are measured against how much vectors vary in that direction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import torch
from sklearn.covariance import ledoit_wolf
from torch import Tensor

from unscathed.problems import BadInputError, Problems
from unscathed.similarity.distances import Metric
from unscathed.similarity.spaces import Features, Space

Covariance = Literal["pooled", "class"]


@dataclass(frozen=True)
class Mahalanobis:
    """``√((a - b)ᵀ Σ⁻¹ (a - b))``, with a shrunk covariance Σ of the spares' vectors.

    Args:
        space: where samples are compared.
        covariance: ``"pooled"``: of vectors about the mean of their class, one for all classes (about the common mean
            where there are no classes); ``"class"``: the forgotten sample's class has its own. A class of fewer than
            ``fewest`` spares takes the pooled one.
        fewest: spares that a class needs for a covariance of its own.

    Source: the paper (arXiv 2507.10886) for the distance; Ledoit and Wolf 2004, "A well-conditioned estimator for
    large-dimensional covariance matrices", for shrinkage, without which Σ has no inverse where there are fewer spares
    than dimensions.
    """

    space: Space = field(default_factory=Features)
    covariance: Covariance = "pooled"
    fewest: int = 20

    def __post_init__(self) -> None:
        problems = Problems("cannot use Mahalanobis")
        kinds = get_args(Covariance)
        problems.require(
            self.covariance in kinds, f"covariance={self.covariance!r} must be one of {', '.join(map(repr, kinds))}"
        )
        problems.require(self.fewest >= 2, f"fewest={self.fewest} must be at least 2: one vector does not vary")
        problems.raise_any()

    def fit(self, vectors: Tensor, labels: Tensor | None) -> Metric:
        """Estimate the covariance.

        Raises:
            BadInputError: the vectors do not vary at all.
        """
        rows = vectors.cpu().double()
        groups = {} if labels is None else {int(c): rows[labels.cpu() == c] for c in torch.unique(labels.cpu())}
        centred = torch.cat([g - g.mean(dim=0) for g in groups.values()]) if groups else rows - rows.mean(dim=0)
        own: dict[int, Tensor] = {}
        if self.covariance == "class":
            own = {c: whitening(g - g.mean(dim=0)) for c, g in groups.items() if len(g) >= self.fewest}
        return Whitened(whitening(centred), own)


class Whitened:
    """Places are ``Σ^(-½) x``: there, the straight distance is Mahalanobis'.

    Args:
        pooled: Σ^(-½), float64 [d, d].
        by_class: those of the classes that have their own.
    """

    unit = False

    def __init__(self, pooled: Tensor, by_class: Mapping[int, Tensor]) -> None:
        self._pooled = pooled
        self._by_class = dict(by_class)

    def place(self, vectors: Tensor, label: int | None = None) -> Tensor:
        """Whitened vectors, float32 [n, d]."""
        matrix = self._pooled if label is None else self._by_class.get(label, self._pooled)
        return (vectors.double() @ matrix.to(vectors.device)).float()

    def distance(self, squared: Tensor) -> Tensor:
        """Its root."""
        return torch.sqrt(squared)


def whitening(centred: Tensor) -> Tensor:
    """``Σ^(-½)``, symmetric, float64 [d, d], where Σ is the shrunk covariance of vectors about zero.

    Args:
        centred: float64 [n, d].

    Raises:
        BadInputError: they are all zero.
    """
    covariance, _ = ledoit_wolf(np.asarray(centred), assume_centered=True)
    values, directions = torch.linalg.eigh(torch.from_numpy(covariance))
    if not float(values[-1]) > 0:
        raise BadInputError(
            "cannot fit Mahalanobis", ["the spares' vectors do not vary at all; use another space, or Cosine"]
        )
    # Shrinkage lifts every direction; where it found none to lift (it is 0 in large samples), rounding must not.
    values = values.clamp_min(float(values[-1]) * 1e-10)
    inverse_root: Tensor = directions @ torch.diag(values.rsqrt()) @ directions.T
    return inverse_root
