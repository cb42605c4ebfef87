"""Parameter-aware adversaries: they see the weights."""

from __future__ import annotations

from unscathed.adversaries.base import Adversary, highest
from unscathed.adversaries.views import ParameterView


class ParameterAware(Adversary[ParameterView]):
    """Asks for the samples whose gradients are most aligned with the validation loss's.

    A training step on sample i lowers the validation loss by ``η ∇ℓ_i · ∇L_val`` (to first order), so the samples
    with the largest products are those whose removal costs most. One forward-mode pass gives all products.

    Args:
        budget: see `Adversary`.

    Source: the first-order term of Koh and Liang 2017, "Understanding Black-box Predictions via Influence
    Functions"; Pruthi et al. 2020, "TracIn".
    """

    view_type = ParameterView

    def __init__(self, budget: float | int = 0.05) -> None:
        super().__init__(budget)

    def __repr__(self) -> str:
        return f"ParameterAware(budget={self.budget})"

    def _choose(self, view: ParameterView, count: int) -> tuple[str, ...]:
        function = view.function()
        direction = function.mean_gradient(view.validation)
        return highest(view.samples, function.directional_derivatives(view.samples, direction), count)
