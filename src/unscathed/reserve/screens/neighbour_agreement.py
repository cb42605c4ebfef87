"""Neighbour agreement: a spare among spares of other classes is probably mislabelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unscathed.problems import Problems
from unscathed.reserve.screens.base import Screen, require_labels
from unscathed.reserve.screens.neighbours import neighbours


@dataclass(frozen=True, kw_only=True)
class NeighbourAgreement(Screen):
    """The share of a spare's nearest spares, itself left out, that have other labels.

    Args:
        k: nearest spares that are asked.

    Source: Wilson 1972, "Asymptotic Properties of Nearest Neighbor Rules Using Edited Data".
    """

    k: int = 10

    def __post_init__(self) -> None:
        problems = Problems("cannot use NeighbourAgreement")
        problems.require(self.k >= 1, f"k={self.k} must be at least 1")
        problems.raise_any()

    def scores(
        self, vectors: Tensor, labels: Tensor | None = None, contributors: Sequence[str] | None = None
    ) -> Tensor:
        """The share of nearest spares that disagree, 0 to 1; see `Screen.scores`."""
        labels = require_labels("NeighbourAgreement", labels)
        near = neighbours(vectors, self.k)
        if not near.shape[1]:
            return torch.zeros(len(vectors))
        return (labels[near] != labels[:, None]).float().mean(dim=1)
