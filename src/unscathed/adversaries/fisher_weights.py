"""The adversary of noise: it takes away what holds the noise of Fisher forgetting down."""

from __future__ import annotations

import torch
from torch import Tensor

from unscathed.adversaries.base import Ranking
from unscathed.adversaries.views import ParameterView
from unscathed.curvature import fisher_diagonal, weighted_squares
from unscathed.problems import Problems


class FisherWeights(Ranking[ParameterView]):
    """Asks for the samples that keep the noise of `Fisher` forgetting away from what validation samples depend on.

    That noise has the variance ``s² F_p^(-½)`` in parameter p, with F the Fisher diagonal of the retained samples. With
    V that of the validation samples, in the place of the curvature there, it costs them ``½ s² D`` to second order,
    where ``D = Σ_p V_p F_p^(-½)``. Give sample i the weight ω_i in F = ``Σ_i ω_i (∇ℓ_i)² / Σ_i ω_i``: taking it away,
    from ω_i = 1 for all, lets D grow at the rate

        ``-∂D/∂ω_i = 1/2n Σ_p V_p F_p^(-3/2) ((∇ℓ_i)_p² - F_p)``.

    By default `Fisher` calibrates s so that the noise costs the retained samples so and so much, ``½ s² Σ_p F_p^(½)``;
    then what grows is ``D / R`` with ``R = Σ_p F_p^(½)``, and ``-∂ log(D / R)/∂ω_i`` has the weights
    ``V_p F_p^(-3/2) / D + F_p^(-½) / R`` in the place of ``V_p F_p^(-3/2)``. Either way the value of a sample is a
    weighted sum of its squared gradients, exact, from one pass. As in `Fisher`, F is raised to a floor, and what lies
    below it protects nothing and counts for nothing.

    Args:
        budget: see `Adversary`.
        calibrated: whether the noise is expected to be calibrated on the retained samples, as `Fisher` does by default.
        floor: F is raised to at least this share of its mean.

    Source: our own, against Golatkar et al. 2020, "Eternal Sunshine of the Spotless Net", equations 8 to 10.
    """

    view_type = ParameterView

    def __init__(self, budget: float | int = 0.05, *, calibrated: bool = True, floor: float = 1e-3) -> None:
        super().__init__(budget)
        problems = Problems("cannot use FisherWeights")
        problems.require(floor > 0, f"floor={floor} must be positive")
        problems.raise_any()
        self.calibrated = calibrated
        self.floor = floor

    def __repr__(self) -> str:
        return f"FisherWeights(budget={self.budget}, calibrated={self.calibrated}, floor={self.floor})"

    def values(self, view: ParameterView) -> Tensor:
        """The rate at which the noise's cost grows as each sample is taken away, [n]."""
        function = view.function()
        retained = fisher_diagonal(function, view.samples)
        lowest = self.floor * float(retained.mean())
        raised = retained.clamp_min(lowest)
        cost = fisher_diagonal(function, view.validation)
        weights = cost * raised.pow(-1.5)
        if self.calibrated:
            damage = float((cost * raised.pow(-0.5)).sum())
            weights = weights / damage + raised.pow(-0.5) / float(raised.sqrt().sum())
        weights = torch.where(retained > lowest, weights, 0.0)
        level = float((weights * retained).sum())
        return (weighted_squares(function, view.samples, weights) - level) / (2 * len(view.samples))
