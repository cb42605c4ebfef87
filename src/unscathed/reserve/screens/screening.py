"""Screening: set the spares aside that screens suspect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unscathed.problems import Problems, some
from unscathed.reserve.screens.base import Screen
from unscathed.reserve.screens.crowding import Crowding
from unscathed.reserve.screens.hubness import Hubness
from unscathed.reserve.screens.neighbour_agreement import NeighbourAgreement
from unscathed.reserve.screens.spectral_outliers import SpectralOutliers
from unscathed.reserve.spare_set import SpareSet
from unscathed.training import Trained

STANDARD: tuple[Screen, ...] = (NeighbourAgreement(), SpectralOutliers(), Hubness(), Crowding())
"""Screens that need nothing but the core install, and no knowledge of who contributed what."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Screening:
    """Which screen flagged what.

    Args:
        ids: the spares that were screened.
        scores: how suspicious each screen found them, float32 [n], by the screen's constructor call.
        flagged: which of them each screen flagged, by the same.
    """

    ids: tuple[str, ...]
    scores: Mapping[str, Tensor]
    flagged: Mapping[str, tuple[str, ...]]

    @property
    def reasons(self) -> Mapping[str, tuple[str, ...]]:
        """For each spare that was flagged, by which screens."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name, ids in self.flagged.items():
            for spare in ids:
                found[spare].append(name)
        return {spare: tuple(found[spare]) for spare in self.ids if spare in found}

    @property
    def quarantined(self) -> tuple[str, ...]:
        """All spares that were set aside, in the reserve's order."""
        return tuple(self.reasons)

    def __str__(self) -> str:
        """A small table: what each screen flagged, and what it alone did."""
        reasons = self.reasons
        rows = [(name, len(ids), sum(reasons[i] == (name,) for i in ids)) for name, ids in self.flagged.items()]
        width = max(len(name) for name in ("screen", "all together", *self.flagged))
        lines = [f"{'screen':<{width}}  flagged  it alone"]
        lines += [f"{name:<{width}}  {count:>7}  {alone:>8}" for name, count, alone in rows]
        lines.append(f"{'all together':<{width}}  {len(reasons):>7}  of {len(self.ids)} spares")
        return "\n".join(lines)


def screen(
    reserve: SpareSet,
    trained: Trained,
    screens: Sequence[Screen] = STANDARD,
    lose: float = 0.01,
    contributors: Mapping[str, str] | None = None,
) -> Screening:
    """Put the spares that screens suspect into quarantine: they are nobody's twins until ``reserve.stock.release``.

    Screens look where twins are compared: at the vectors of the reserve's similarity, moved to their place (pooled over
    classes, where the distance differs by class). Only spares that are at hand are screened.

    Args:
        reserve: whose unspent spares are screened; what is flagged leaves them.
        trained: the model whose features are compared.
        screens: who judges; each flags on its own, and what any of them flags is set aside.
        lose: the share of spares that one is ready to lose to each screen.
        contributors: who contributed each spare, by the spare's id, where that is known.

    Raises:
        BadInputError: there is nothing to screen, no screen, or a screen lacks what it needs; then nothing is set
            aside.
    """
    spares = reserve.unspent
    problems = Problems("cannot screen the reserve")
    problems.require(len(spares) > 0, "no spares are at hand")
    problems.require(len(screens) > 0, "no screens are given")
    problems.require(0 <= lose <= 1, f"lose={lose} must be a share, 0 to 1")
    names = [repr(s) for s in screens]
    problems.require(len(set(names)) == len(names), "a screen is given twice")
    missing = [] if contributors is None else [i for i in spares.ids if i not in contributors]
    problems.require(not missing, f"{len(missing)} spares have no contributor ({some(missing)})")
    problems.raise_any()
    labels = trained.task.labels(spares.targets)
    vectors = reserve.similarity.space.vectors(spares, trained).cpu()
    places = reserve.similarity.fit(vectors, labels).place(vectors)
    owners = None if contributors is None else [contributors[i] for i in spares.ids]
    scores = {name: s.scores(places, labels, owners) for name, s in zip(names, screens, strict=True)}
    flagged = {
        name: tuple(spares.ids[p] for p in torch.nonzero(s.flag(scores[name], lose=lose)).flatten().tolist())
        for name, s in zip(names, screens, strict=True)
    }
    screening = Screening(ids=spares.ids, scores=scores, flagged=flagged)
    # The stock keeps a reason, so those that were flagged for one go together.
    together: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for spare, reason in screening.reasons.items():
        together[reason].append(spare)
    for reason, ids in together.items():
        reserve.stock.take(ids, "quarantined", "flagged by " + ", ".join(reason))
    return screening
