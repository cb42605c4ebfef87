"""Output-aware adversaries: they see what the model answers."""

from __future__ import annotations

from unscathed.adversaries.base import Adversary, highest
from unscathed.adversaries.views import OutputView


class OutputAware(Adversary[OutputView]):
    """Asks for the samples of which the model is least sure: they hold its decision boundaries in place.

    Args:
        budget: see `Adversary`.
    """

    view_type = OutputView

    def __init__(self, budget: float | int = 0.05) -> None:
        super().__init__(budget)

    def __repr__(self) -> str:
        return f"OutputAware(budget={self.budget})"

    def _choose(self, view: OutputView, count: int) -> tuple[str, ...]:
        return highest(view.samples, -view.margins(view.samples), count)
