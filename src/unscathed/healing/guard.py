"""The guard: twins that would ruin a model count less, and have typical spares beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from unscathed.healing.typicality import NEIGHBOURS, Typicality, typical_spares
from unscathed.samples import Samples
from unscathed.training import Trained
from unscathed.training.seeds import derive

BESIDE = 3
"""Typical spares for each atypical twin: what brought collapsed models within half a point of healing on retained
samples (`experiments/still_forgotten.py`)."""


class Guarded(NamedTuple):
    """What is healed on from the reserve.

    Args:
        twins: twins, and the spares that were drawn beside them.
        weights: what samples count, by id; 1 where they are not named.
        details: what there is to tell, for the history.
    """

    twins: Samples | None
    weights: Mapping[str, float]
    details: dict[str, Any]


def guard(
    twins: Samples | None, spares: Samples | None, before: Trained | None, retain: Samples | None, seed: int
) -> Guarded:
    """Look at twins; where they are atypical, draw thrice as many typical spares, at most half of those that are left.

    Args:
        twins: that stand in for the forgotten.
        spares: unspent ones besides; too few to compare twins with, and these are taken as they are.
        before: the model before unlearning.
        retain: the samples that stay, for their class shares.
        seed: which spares.
    """
    if twins is None or before is None or spares is None or len(spares) <= NEIGHBOURS:
        return Guarded(twins, {}, {})
    found = Typicality.of(twins, spares=spares, before=before, retain=retain)
    if not found.atypical:
        return Guarded(twins, {}, {})
    drawn = typical_spares(
        spares,
        min(BESIDE * len(twins), max(1, len(spares) // 2)),
        before=before,
        beside=twins,
        weights=found.weights,
        retain=retain,
        seed=derive(seed, "guard"),
    )
    weights = dict(zip(twins.ids, found.weights.tolist(), strict=True))
    details = {"drawn": len(drawn), "twins_are": found.verdict}
    return Guarded(twins + drawn if len(drawn) else twins, weights, details)
