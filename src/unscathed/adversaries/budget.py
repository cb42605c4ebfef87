"""Budget: how much an adversary may ask for."""

from __future__ import annotations

from typing import ClassVar

from unscathed.adversaries.views import BlindView, OutputView
from unscathed.problems import Problems


class Budgeted:
    """Whoever asks for a share or a number of the samples that a view shows.

    Args:
        budget: a share of the samples (0 < float < 1) or a number (int).
    """

    view_type: ClassVar[type[BlindView]] = BlindView
    """The least that it must be shown."""

    works_from_labels: ClassVar[bool] = False
    """Whether predicted classes are enough, where it asks the model anything (``OutputView(…, labels_only=True)``)."""

    def __init__(self, budget: float | int = 0.05) -> None:
        problems = Problems(f"cannot use {type(self).__name__}")
        if isinstance(budget, int):
            problems.require(budget >= 1, f"budget={budget} must be at least 1 sample")
        else:
            problems.require(0 < budget < 1, f"budget={budget} must be a share between 0 and 1 (or a number, as int)")
        problems.extend(self._problems())
        problems.raise_any()
        self.budget = budget

    def __repr__(self) -> str:
        return f"{type(self).__name__}(budget={self.budget})"

    def _problems(self) -> list[str]:
        """What is wrong with the other settings."""
        return []

    def count(self, available: int) -> int:
        """How many of so many samples the budget allows, at least 1."""
        return self.budget if isinstance(self.budget, int) else max(1, round(self.budget * available))

    def _problems_with(self, view: BlindView) -> list[str]:
        """What this view shows too little of, one sentence each."""
        needed = type(self).view_type
        if not isinstance(view, needed):
            return [f"it needs a {needed.__name__}, and a {type(view).__name__} shows less"]
        found = self._lacks(view)
        asks = isinstance(view, OutputView) and issubclass(needed, OutputView)
        if asks and view.labels_only and not self.works_from_labels:  # type: ignore[attr-defined]
            found.append("it needs outputs, and this view answers with predicted classes alone (labels_only=True)")
        return found

    def _lacks(self, view: BlindView) -> list[str]:
        """What else it would need of a view that is of the right type, one sentence each."""
        return []
