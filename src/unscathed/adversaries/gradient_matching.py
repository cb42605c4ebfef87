"""The adversary whose set, as a whole, pulls the model where the validation loss does."""

from __future__ import annotations

import torch
from torch import Tensor

from unscathed.adversaries.base import Adversary
from unscathed.adversaries.views import ParameterView, check_last_layer
from unscathed.problems import Problems


class GradientMatching(Adversary[ParameterView]):
    """Asks for a set whose mean gradient is the validation loss's, rather than for samples that each point its way.

    Samples that are each aligned with the validation gradient share what they have besides, and that adds up. Here
    every sample is chosen in the light of those before it (herding): the t-th is the one that brings the sum of t
    gradients nearest to ``t r ∇L_val``. Gradients are the last linear layer's, ``s_i φ_iᵀ``, so that two of them have
    the product ``(s_i · s_j)(φ_i · φ_j)``, and none is ever formed: a step costs n such products. Orthogonal matching
    pursuit would give each chosen sample a weight of its own, found anew by least squares at every step; a request for
    deletion has no weights.

    Args:
        budget: see `Adversary`.
        reach: r, how many times as long as the validation gradient the set's mean is to be.

    Raises:
        BadInputError: also if the model does not end with a linear layer that sees one row a sample.

    Source: Welling 2009, "Herding Dynamical Weights to Learn"; Killamsetty et al. 2021, "GRAD-MATCH" (matching the
    validation gradient with the last layer's, by orthogonal matching pursuit).
    """

    view_type = ParameterView

    def __init__(self, budget: float | int = 0.05, *, reach: float = 10.0) -> None:
        super().__init__(budget)
        problems = Problems("cannot use GradientMatching")
        problems.require(reach > 0, f"reach={reach} must be positive")
        problems.raise_any()
        self.reach = reach

    def __repr__(self) -> str:
        return f"GradientMatching(budget={self.budget}, reach={self.reach})"

    def _choose(self, view: ParameterView, count: int) -> tuple[str, ...]:
        check_last_layer(self, view)
        layer, held = view.last_layer(view.samples, 0.0), view.last_layer(view.validation, 0.0)
        weights = layer.current()
        target = self.reach * held.gradient(weights) / held.count
        chosen = herd(*layer.factors(weights), target, count)
        return tuple(view.samples.ids[p] for p in chosen)


def herd(slopes: Tensor, features: Tensor, target: Tensor, count: int) -> list[int]:
    """Positions of samples whose mean gradient is near a target, greedily, each once.

    Args:
        slopes: s_i, [n, k]; a sample's gradient is s_i φ_iᵀ.
        features: φ_i, [n, d].
        target: what the mean is to be, [k, d].
        count: how many samples.
    """
    wanted = ((slopes @ target) * features).sum(dim=1)
    squares = slopes.square().sum(dim=1) * features.square().sum(dim=1)
    taken = torch.zeros_like(wanted)
    chosen: list[int] = []
    for step in range(1, count + 1):
        # ‖Σ g - t v‖² changes by ‖g_i‖² + 2 g_i · Σ g - 2 t g_i · v with sample i, and by what is the same for all.
        gain = step * wanted - taken - squares / 2
        gain[chosen] = -torch.inf
        best = int(gain.argmax())
        chosen.append(best)
        taken += (slopes @ slopes[best]) * (features @ features[best])
    return chosen
