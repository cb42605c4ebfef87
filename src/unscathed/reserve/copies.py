"""Copies: samples that are nearly others. Deleting one of them deletes nothing."""

from __future__ import annotations

import torch

from unscathed.reserve.candidates import Candidates
from unscathed.reserve.proximity import too_close
from unscathed.reserve.search import nearest
from unscathed.reserve.vectors import SpareVectors
from unscathed.samples import Samples

MOST = 16
"""Near copies that are named for a sample."""


def near_copies(of: Samples, among: Samples, vectors: SpareVectors, radius: float) -> dict[str, tuple[str, ...]]:
    """What is nearly the same as some samples, and of their class (`SpareSet.near_copies`).

    Args:
        of: the samples.
        among: others.
        vectors: of the spares, up to date: their distance and their model are used.
        radius: the distance within which two are nearly the same.
    """
    assert vectors.source is not None
    task, space = vectors.source.task, vectors.similarity.space
    ours, theirs = (space.vectors(samples, vectors.source).cpu() for samples in (of, among))
    wanted, labels = (task.labels(samples.targets) for samples in (of, among))
    found: dict[str, tuple[str, ...]] = {}
    classes: list[int | None] = [None] if wanted is None else torch.unique(wanted).tolist()
    for label in classes:
        asking, rows = torch.arange(len(of)), None
        if label is not None and wanted is not None and labels is not None:
            asking, rows = (own.eq(label).nonzero().flatten() for own in (wanted, labels))
        candidates = Candidates(theirs, vectors.metric, rows, label)
        queries = candidates.placed(ours[asking])
        near = nearest(queries, candidates, MOST)
        close = too_close(of.at(asking), queries, among, candidates, near, radius)
        for query, places, same in zip(asking.tolist(), candidates.positions(near[0]), close, strict=True):
            if same.any():
                found[of.ids[query]] = tuple(among.ids[p] for p in places[same].tolist())
    return {i: found[i] for i in of.ids if i in found}
