"""Output-aware adversaries: they see what the model answers."""

from __future__ import annotations

from torch import Tensor

from unscathed.adversaries.base import Ranking
from unscathed.adversaries.views import OutputView


class OutputAware(Ranking[OutputView]):
    """Asks for the samples of which the model is least sure: they hold its decision boundaries in place.

    Args:
        budget: see `Adversary`.
    """

    view_type = OutputView

    def values(self, view: OutputView) -> Tensor:
        """How unsure the model is of each sample, [n]."""
        return -view.margins(view.samples)
