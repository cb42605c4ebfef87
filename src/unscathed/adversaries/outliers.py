"""Outliers: samples unlike all others of their class."""

from __future__ import annotations

import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from unscathed.adversaries.base import Ranking
from unscathed.adversaries.groups import known_classes, no_distances, raw
from unscathed.adversaries.views import BlindView
from unscathed.problems import Problems
from unscathed.reserve.screens.base import by_class


class Outliers(Ranking[BlindView]):
    """Asks for the samples that lie farthest from their class's others, in raw space: nothing else stands in for them.

    A sample that is alone in its class comes first. Where targets are no classes, all samples are one class.

    Args:
        budget: see `Adversary`.
        neighbours: k: a sample is as far out as its k nearest neighbours of its class are away, on average.

    Raises:
        BadInputError: there cannot be so many neighbours, or (when it chooses) inputs have no distances.

    Source: Angiulli and Pizzuti 2002, "Fast Outlier Detection in High Dimensional Spaces", section 2 (the weight of a
    point).
    """

    def __init__(self, budget: float | int = 0.05, *, neighbours: int = 10) -> None:
        super().__init__(budget)
        problems = Problems("cannot use Outliers")
        problems.require(neighbours >= 1, f"neighbours={neighbours} must be at least 1")
        problems.raise_any()
        self.neighbours = neighbours

    def __repr__(self) -> str:
        return f"Outliers(budget={self.budget}, neighbours={self.neighbours})"

    def _lacks(self, view: BlindView) -> list[str]:
        return no_distances(view.samples)

    def values(self, view: BlindView) -> Tensor:
        """The mean distance to the nearest neighbours of the class, float64 [n]; infinite where there are none."""
        vectors = raw(view.samples).numpy()
        values = torch.full((len(vectors),), torch.inf, dtype=torch.float64)
        for group in by_class(known_classes(view.samples), len(vectors)):
            nearest = min(self.neighbours, len(group) - 1)
            if nearest > 0:
                # Asked without points, it leaves each point out of its own neighbours.
                distances, _ = NearestNeighbors(n_neighbors=nearest).fit(vectors[group.numpy()]).kneighbors()
                values[group] = torch.from_numpy(distances).double().mean(dim=1)
        return values
