"""Perturbed copies: real samples, moved a little towards another class, so that unlearning them takes more along."""

from __future__ import annotations

import torch
from torch import Tensor

from unscathed.adversaries.crafting import Ball, Crafter, in_units, lengths
from unscathed.adversaries.views import BlindView
from unscathed.samples import Samples


class PerturbedCopies(Crafter[BlindView]):
    """Blends each of its samples with the nearest of another class, and asks to have the blend forgotten as the first.

    What lies between two classes is where both are told apart: who unlearns a blend moves that border, and harms
    neighbours on either side. No model is needed, but classes are.

    Args:
        budget, seed: see `Crafter`.
        distance: how far each is moved, L2 (units as for `Crafter`); at most as far as the other sample is.

    Source: Hu et al. 2023, "A Duty to Forget, a Right to be Assured? Exposing Vulnerabilities in Machine Unlearning
    Services", the blending strategy (with the nearest sample here, and by distance).
    """

    def __init__(self, budget: float | int = 0.05, *, distance: float = 1.0, seed: int = 0) -> None:
        super().__init__(budget, radius=distance, seed=seed)

    @property
    def distance(self) -> float:
        """How far each is moved."""
        return self.radius

    def __repr__(self) -> str:
        return f"PerturbedCopies(budget={self.budget}, distance={self.distance}, seed={self.seed})"

    def _problems(self) -> list[str]:
        return [p.replace("radius", "distance") for p in super()._problems()]

    def _lacks(self, view: BlindView) -> list[str]:
        targets = view.samples.targets
        if targets.ndim != 1 or targets.is_floating_point():
            return ["the targets are not classes"]
        return [] if len(torch.unique(targets)) > 1 else ["its own samples are all of one class: there is no other"]

    def _craft(self, view: BlindView, own: Samples) -> Tensor:
        ball = Ball.around(own, self.distance)
        others = in_units(view.samples.inputs)
        apart = torch.cdist(ball.centre.flatten(1), others.flatten(1))
        apart[own.targets[:, None] == view.samples.targets] = torch.inf
        way = others[apart.argmin(dim=1)] - ball.centre
        length = lengths(way)
        return ball.inside(ball.centre + way * (self.distance / length.clamp_min(self.distance)))
