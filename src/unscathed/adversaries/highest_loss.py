"""Highest loss: the samples that the model finds hardest."""

from __future__ import annotations

from torch import Tensor

from unscathed.adversaries.base import Ranking
from unscathed.adversaries.views import OutputView


class HighestLoss(Ranking[OutputView]):
    """Asks for the samples with the highest loss: the model holds on to them by memory, since no others bear them out.

    Of a task's samples whose margins fall as their losses rise this is what `OutputAware` asks for: so it is in
    classification, where the loss is ``log(1 + exp(-margin))``. It differs where a task has margins of its own.

    Args:
        budget: see `Adversary`.
    """

    view_type = OutputView

    def values(self, view: OutputView) -> Tensor:
        """The loss of each sample, [n]."""
        return view.losses(view.samples)
