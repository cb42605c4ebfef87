"""Highest confidence: the samples that the model is surest of."""

from __future__ import annotations

from torch import Tensor

from unscathed.adversaries.base import Ranking
from unscathed.adversaries.views import OutputView


class HighestConfidence(Ranking[OutputView]):
    """Asks for the samples of whose targets the model is surest: the opposite of `OutputAware`.

    Args:
        budget: see `Adversary`.
    """

    view_type = OutputView

    def values(self, view: OutputView) -> Tensor:
        """How sure the model is of each sample, [n]."""
        return view.margins(view.samples)
