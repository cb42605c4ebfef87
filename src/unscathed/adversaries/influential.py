"""The adversary that predicts, to second order, what each sample's removal costs."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from unscathed.adversaries.base import Ranking
from unscathed.adversaries.views import ParameterView, check_last_layer
from unscathed.curvature import kronecker_factors
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training.seeds import generator

Curvature = Literal["kronecker", "last-layer"]
DAMPING = {"kronecker": 1e-2, "last-layer": 1.0}
"""By default (measured on digits, removing 10 %): larger than for one sample, since many go together."""


class Influential(Ranking[ParameterView]):
    """Asks for the samples whose removal raises the validation loss most, as influence functions predict it.

    Without sample i the minimum of the training loss moves by ``1/n (C + δ I)⁻¹ ∇ℓ_i``, with C the curvature of the
    mean loss, and the validation loss by ``1/n ∇L_valᵀ (C + δ I)⁻¹ ∇ℓ_i``. The inverse is applied once, to the
    validation gradient; what it gives is a direction along which one forward-mode pass takes all samples' derivatives.

    Args:
        budget: see `Adversary`.
        curvature: C. ``"kronecker"``: the Fisher information of all layers, Kronecker-factored with corrected
            eigenvalues (EK-FAC), the model's own answers' where the task can name them and else the targets';
            ``"last-layer"``: the exact Hessian of the last linear layer, the features below it held fixed.
        damping: δ, in units of C's eigenvalues; where the training loss has a ridge ``λ/2 ‖θ‖²`` beside ``Σ_i ℓ_i``,
            it is ``λ/n``. By default 0.01 for ``"kronecker"`` and 1 for ``"last-layer"``. The larger it is, the nearer
            is the choice to `ParameterAware`'s.
        curvature_samples: how many samples the factors of ``"kronecker"`` are taken over; None for all.
        seed: which samples, and the answers that are drawn for them.

    Raises:
        BadInputError: also if ``"last-layer"`` is asked for and the model does not end with one, or the loss is not
            convex in its outputs.

    Source: Koh and Liang 2017, "Understanding Black-box Predictions via Influence Functions", equation 2; Grosse et al.
    2023, "Studying Large Language Model Generalization with Influence Functions" (EK-FAC).
    """

    view_type = ParameterView

    def __init__(
        self,
        budget: float | int = 0.05,
        *,
        curvature: Curvature = "kronecker",
        damping: float | None = None,
        curvature_samples: int | None = 1024,
        seed: int = 0,
    ) -> None:
        super().__init__(budget)
        problems = Problems("cannot use Influential")
        kinds = get_args(Curvature)
        problems.require(curvature in kinds, f"curvature={curvature!r} must be one of {', '.join(map(repr, kinds))}")
        problems.require(damping is None or damping > 0, f"damping={damping} must be positive")
        problems.require(
            curvature_samples is None or curvature_samples >= 1,
            f"curvature_samples={curvature_samples} must be at least 1 (or None)",
        )
        problems.raise_any()
        self.curvature = curvature
        self.damping = DAMPING[curvature] if damping is None else damping
        self.curvature_samples = curvature_samples
        self.seed = seed

    def __repr__(self) -> str:
        return (
            f"Influential(budget={self.budget}, curvature={self.curvature!r}, damping={self.damping}, "
            f"curvature_samples={self.curvature_samples}, seed={self.seed})"
        )

    def values(self, view: ParameterView) -> Tensor:
        """By how much the validation loss would rise without each sample, nats (or the task's unit of loss), [n]."""
        if self.curvature == "last-layer":
            return self._over_last_layer(view)
        function = view.function()
        named = type(function.task).answers is not Task.answers
        factors = kronecker_factors(
            function, self._curved(view.samples), "true" if named else "empirical", seed=self.seed
        )
        direction = factors.solve(function.mean_gradient(view.validation), self.damping)
        return function.directional_derivatives(view.samples, direction) / len(view.samples)

    def _over_last_layer(self, view: ParameterView) -> Tensor:
        check_last_layer(self, view)
        layer, held = view.last_layer(view.samples, self.damping), view.last_layer(view.validation, 0.0)
        weights = layer.current()
        slopes, features = layer.factors(weights)
        # The layer's loss is a sum, so its curvature is n times C, and the 1/n is in its inverse.
        direction = layer.newton_step(weights, -held.gradient(weights) / held.count)
        return ((slopes @ direction) * features).sum(dim=1).cpu()

    def _curved(self, samples: Samples) -> Samples:
        if self.curvature_samples is None or self.curvature_samples >= len(samples):
            return samples
        order = torch.randperm(len(samples), generator=generator(self.seed, "curvature samples"))
        return samples.at(order[: self.curvature_samples])
