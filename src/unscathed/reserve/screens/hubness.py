"""Hubness: a spare that is everyone's neighbour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unscathed.problems import Problems
from unscathed.reserve.screens.base import Screen, by_class
from unscathed.reserve.screens.neighbours import neighbours


@dataclass(frozen=True, kw_only=True)
class Hubness(Screen):
    """How often a spare is among the k nearest of the others of its class, in deviations from the class's mean.

    Args:
        k: nearest spares that are counted.

    Source: Radovanović et al. 2010, "Hubs in Space" (the k-occurrence N_k).
    """

    k: int = 5

    def __post_init__(self) -> None:
        problems = Problems("cannot use Hubness")
        problems.require(self.k >= 1, f"k={self.k} must be at least 1")
        problems.raise_any()

    def scores(
        self, vectors: Tensor, labels: Tensor | None = None, contributors: Sequence[str] | None = None
    ) -> Tensor:
        """Standardised k-occurrences, 0 where all of a class have the same; see `Screen.scores`."""
        scores = torch.zeros(len(vectors))
        for rows in by_class(labels, len(vectors)):
            counts = torch.bincount(neighbours(vectors[rows], self.k).flatten(), minlength=len(rows)).float()
            deviation = counts.std(correction=0)
            if deviation > 0:
                scores[rows] = (counts - counts.mean()) / deviation
        return scores
