"""Parameter-aware adversaries: they see the weights."""

from __future__ import annotations

from torch import Tensor

from unscathed.adversaries.base import Ranking
from unscathed.adversaries.views import ParameterView


class ParameterAware(Ranking[ParameterView]):
    """Asks for the samples whose gradients are most aligned with the validation loss's.

    A training step on sample i lowers the validation loss by ``η ∇ℓ_i · ∇L_val`` (to first order), so the samples
    with the largest products are those whose removal costs most. One forward-mode pass gives all products.

    Args:
        budget: see `Adversary`.

    Source: the first-order term of Koh and Liang 2017, "Understanding Black-box Predictions via Influence
    Functions"; Pruthi et al. 2020, "TracIn".
    """

    view_type = ParameterView

    def values(self, view: ParameterView) -> Tensor:
        """The product of each sample's gradient with the validation loss's, [n]."""
        function = view.function()
        direction = function.mean_gradient(view.validation)
        return function.directional_derivatives(view.samples, direction)
