"""The spares' vectors, and which model they came from."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from unscathed.reserve.approximate import Approximate, Index
from unscathed.reserve.candidates import Candidates
from unscathed.reserve.proximity import calibrated_radius
from unscathed.reserve.search import nearest
from unscathed.samples import Samples
from unscathed.similarity import Metric, Similarity
from unscathed.training import Trained
from unscathed.training.seeds import generator

DAMAGED = 0.1
"""By how much of the task's range of scores a model must be worse on the spares for its features not to be trusted."""


class SpareVectors:
    """Where spares are compared: kept until the model changes; new ones are added without making the rest again.

    Vectors of a model's features are made again when the model has changed, unless it was damaged (by an unlearner,
    say): one that is clearly worse on the spares, which neither has trained on, tells less about what is alike. Then
    those of the model before stay in use.

    Args:
        similarity: the distance and its space.
        approximate: the index to search by; None searches exactly.
    """

    def __init__(self, similarity: Similarity, approximate: Approximate | None = None) -> None:
        self.similarity = similarity
        self.approximate = approximate
        self.source: Trained | None = None
        """The model that the vectors came from; None before there are any."""
        self.made = 0
        """How many vectors were made so far."""
        self._vectors = torch.empty(0)
        self._labels: Tensor | None = None
        self._metric: Metric | None = None
        self._indexes: dict[int | None, Index | None] = {}

    def refresh(self, spares: Samples, unspent: Tensor, trained: Trained) -> Trained:
        """Make what is missing or old; returns the model that vectors come from.

        Args:
            spares: all of them; between calls, some may have been added at the end.
            unspent: which are still at hand, bool [n]: no other is made again.
            trained: the model by now.
        """
        known = len(self._vectors)
        if self.source is not None and known == len(spares) and not unspent.any():
            return self.source  # nothing is left that could be compared anew
        if self.source is None or (self._changed(trained) and not self._damaged(spares, unspent, trained)):
            self.source, known = trained, 0
        if known == len(spares):
            return self.source
        positions = torch.arange(known, len(spares))
        if known == 0 and len(self._vectors):
            positions = positions[unspent]
        added = self._embed(spares, positions)
        if known:
            self._vectors = torch.cat([self._vectors, added])
            self._indexes = {}
            self._labels = self.source.task.labels(spares.targets)
            return self.source
        if len(positions) < len(spares):
            whole = torch.zeros(len(spares), *added.shape[1:])
            whole[positions] = added
            self._keep(whole, spares, positions)
        else:
            self._keep(added, spares, positions)
        return self.source

    def adopt(self, vectors: Tensor, spares: Samples, source: Trained) -> None:
        """Take vectors that were made elsewhere.

        Args:
            vectors: of the spares, float32 [n, d].
            spares: all of them.
            source: the model that they came from.
        """
        self.source = source
        self._keep(vectors, spares, torch.arange(len(spares)))

    def _keep(self, vectors: Tensor, spares: Samples, made: Tensor) -> None:
        assert self.source is not None
        self._vectors, self._labels = vectors, self.source.task.labels(spares.targets)
        self._indexes = {}
        own = vectors if len(made) == len(vectors) else vectors[made]
        self._metric = self.similarity.fit(own, None if self._labels is None else self._labels[made])

    @property
    def metric(self) -> Metric:
        """The distance, made ready by the vectors when they were made."""
        assert self._metric is not None
        return self._metric

    @property
    def labels(self) -> Tensor | None:
        """The spares' classes, int64 [n]; None where there are none."""
        return self._labels

    def at(self, spare: int) -> Tensor:
        """The vector of the spare at this position, [1, d]."""
        return self._vectors[spare : spare + 1]

    def candidates(self, label: int | None = None) -> Candidates:
        """The spares as candidates: those of a class, by its distance, or all."""
        if label is None:
            return Candidates(self._vectors, self.metric)
        assert self._labels is not None
        return Candidates(self._vectors, self.metric, (self._labels == label).nonzero().flatten(), label)

    def nearest(
        self, queries: Tensor, candidates: Candidates, count: int, open_to: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """As `search.nearest`, by the approximate index where there is one."""
        index = self.index(candidates)
        if index is None:
            return nearest(queries, candidates, count, open_to=open_to)
        return index.nearest(queries, count, open_to)

    def index(self, candidates: Candidates) -> Index | None:
        """The approximate index of some candidates, built when it is first needed; None where search is exact."""
        if self.approximate is None:
            return None
        if candidates.label not in self._indexes:
            self._indexes[candidates.label] = self.approximate.build(candidates)
        return self._indexes[candidates.label]

    def recall(self) -> float:
        """The share of true nearest neighbours that the index finds, over all classes; 1 where search is exact."""
        classes: list[int | None] = [None] if self._labels is None else torch.unique(self._labels).tolist()
        indexes = [self.index(self.candidates(label)) for label in classes]
        return sum(1.0 if index is None else index.recall() for index in indexes) / len(indexes)

    def radius(self, unspent: Tensor) -> float:
        """The distance within which two samples are hardly distinct (`calibrated_radius`), from those at hand."""
        labels = None if self._labels is None else self._labels[unspent]
        if unspent.all():
            return calibrated_radius(self.metric, self._vectors, labels)
        return calibrated_radius(self.metric, self._vectors[unspent], labels)

    def radius_among(self, distinct: Samples, count: int) -> float:
        """The same from other samples: as many of them, drawn, as there are spares, since more would lie closer.

        Args:
            distinct: the samples.
            count: how many spares there are at hand.
        """
        assert self.source is not None
        drawn = torch.randperm(len(distinct), generator=generator(0, "distinct samples"))[:count]
        chosen = distinct.at(drawn.sort().values)
        vectors = self.similarity.space.vectors(chosen, self.source).cpu()
        return calibrated_radius(self.metric, vectors, self.source.task.labels(chosen.targets))

    def _embed(self, samples: Samples, positions: Tensor) -> Tensor:
        assert self.source is not None
        chosen = samples if len(positions) == len(samples) else samples.at(positions)
        self.made += len(positions)
        return self.similarity.space.vectors(chosen, self.source).cpu()

    def _changed(self, trained: Trained) -> bool:
        assert self.source is not None
        if not getattr(self.similarity.space, "of_model", True) or trained.weights is self.source.weights:
            return False
        ours, theirs = self.source.weights, trained.weights
        return ours.keys() != theirs.keys() or any(not torch.equal(w, theirs[name]) for name, w in ours.items())

    def _damaged(self, spares: Samples, unspent: Tensor, trained: Trained) -> bool:
        assert self.source is not None
        if not unspent.any():
            return False
        unseen = spares.at(unspent.nonzero().flatten())
        before, after = self.source.score(unseen), trained.score(unseen)
        damaged = before - after > DAMAGED * trained.task.score_range
        if damaged:
            warnings.warn(
                "twins are sought by the features of the model before: the one given is damaged (its mean score on the "
                f"spares is {after:.3g}, before it was {before:.3g})",
                stacklevel=4,
            )
        return damaged
