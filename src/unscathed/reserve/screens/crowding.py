"""Crowding: spares that lie closer to one another than honest ones do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unscathed.reserve.screens.base import Screen, by_class
from unscathed.reserve.screens.neighbours import neighbours


@dataclass(frozen=True, kw_only=True)
class Crowding(Screen):
    """How close a spare lies to the nearest other of its class, against how close the class's spares do.

    Hubs are found by it, and one who contributes the same few samples many times over, with small changes (not one who
    contributes each of them once). Such spares also make matching believe that all distinct samples lie close
    together, so that it refuses fewer twins as too close.
    """

    def scores(
        self, vectors: Tensor, labels: Tensor | None = None, contributors: Sequence[str] | None = None
    ) -> Tensor:
        """The class's median distance over that of the spare, in logarithms, up to 16; see `Screen.scores`."""
        scores = torch.zeros(len(vectors))
        for rows in by_class(labels, len(vectors)):
            own = vectors[rows].cpu().double()
            near = neighbours(vectors[rows], 1)
            if near.shape[1]:
                apart = (own - own[near[:, 0]]).norm(dim=1)
                scores[rows] = (apart.median() / apart).nan_to_num(nan=1.0).log().clamp(-16, 16).float()
        return scores
