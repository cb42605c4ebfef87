"""Spectral outliers: what a class's vectors vary in most, where a part of them was planted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unscathed.reserve.screens.base import Screen, by_class


@dataclass(frozen=True, kw_only=True)
class SpectralOutliers(Screen):
    """How far a spare lies from its class's mean, along the direction in which the class varies most.

    A group that was planted in a class pulls that direction towards itself.

    Source: Tran, Li and Madry 2018, "Spectral Signatures in Backdoor Attacks" (Algorithm 1): ``τ = ((R(x) - R̂) · v)²``,
    with v the top right singular vector of the centred vectors of a class.
    """

    def scores(
        self, vectors: Tensor, labels: Tensor | None = None, contributors: Sequence[str] | None = None
    ) -> Tensor:
        """Squared lengths along the top singular vector of the class; see `Screen.scores`."""
        scores = torch.zeros(len(vectors))
        for rows in by_class(labels, len(vectors)):
            own = vectors[rows].cpu().double()
            centred = own - own.mean(dim=0)
            # Directions of few dimensions cost less than those of many spares.
            _, directions = torch.linalg.eigh(centred.T @ centred)
            scores[rows] = (centred @ directions[:, -1]).square().float()
        return scores
