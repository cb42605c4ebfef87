"""Rare subgroups: the small kinds within a class, asked for whole."""

from __future__ import annotations

import torch
from sklearn.cluster import KMeans
from torch import Tensor

from unscathed.adversaries.base import Ranking
from unscathed.adversaries.groups import known_classes, no_distances, raw
from unscathed.adversaries.views import BlindView
from unscathed.problems import Problems
from unscathed.reserve.screens.base import by_class
from unscathed.training.seeds import derive


class RareSubgroups(Ranking[BlindView]):
    """Clusters each class in raw space and asks for the smallest clusters whole: no sample of their kind is left.

    Clusters come in the order of their sizes, whatever their class; the last one is asked for in part where the budget
    ends within it. Where targets are no classes, all samples are one class.

    Args:
        budget: see `Adversary`.
        clusters: how many a class has, at most; no more than it has distinct inputs.
        seed: of the clustering.

    Raises:
        BadInputError: there cannot be so many clusters, or (when it chooses) inputs have no distances.

    Source: k-means after Arthur and Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding"; hidden small
    subclasses after Sohoni et al. 2020, "No Subclass Left Behind" (there in a model's features).
    """

    def __init__(self, budget: float | int = 0.05, *, clusters: int = 10, seed: int = 0) -> None:
        super().__init__(budget)
        problems = Problems("cannot use RareSubgroups")
        problems.require(clusters >= 1, f"clusters={clusters} must be at least 1")
        problems.raise_any()
        self.clusters = clusters
        self.seed = seed

    def __repr__(self) -> str:
        return f"RareSubgroups(budget={self.budget}, clusters={self.clusters}, seed={self.seed})"

    def _lacks(self, view: BlindView) -> list[str]:
        return no_distances(view.samples)

    def values(self, view: BlindView) -> Tensor:
        """How early each sample's cluster is asked for, float32 [n]: 0 for the smallest cluster, less for others."""
        found = self.subgroups(view)
        values = torch.empty(len(view.samples))
        for place, cluster in enumerate(found):
            values[cluster] = -float(place)
        return values

    def subgroups(self, view: BlindView) -> list[Tensor]:
        """The positions of each cluster's samples, each int64 [m], the smallest cluster first."""
        # In float64 the order in which threads add up moves nothing that could be seen.
        vectors = raw(view.samples).double()
        found: list[Tensor] = []
        for group in by_class(known_classes(view.samples), len(vectors)):
            distinct = len({view.samples.digests[p] for p in group.tolist()})
            means = KMeans(min(self.clusters, distinct), n_init=4, random_state=derive(self.seed, "subgroups") % 2**32)
            cluster = torch.from_numpy(means.fit_predict(vectors[group].numpy())).long()
            found += [group[cluster == c] for c in torch.unique(cluster).tolist()]
        return sorted(found, key=lambda positions: (len(positions), int(positions[0])))
