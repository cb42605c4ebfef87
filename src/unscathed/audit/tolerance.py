"""Tolerance: how far from its reference a model may be."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unscathed.task import Task


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What an audit lets pass, as differences from the reference; those of scores in units of `Task.score_range`.

    Args:
        utility: how much lower the score on test samples may be (0.02: two points of accuracy).
        class_utility: how much lower it may be for a single class.
        forgetting: how far the score on the forgotten may be from gold's, either way: a model that is too bad on
            them is as suspicious as one that is too good.
        membership: how far the membership AUC may be from gold's, either way.
    """

    utility: float = 0.02
    class_utility: float = 0.05
    forgetting: float = 0.05
    membership: float = 0.05

    def of(self, task: Task) -> Tolerance:
        """The same in the units of a task's own scores."""
        unit = task.score_range
        return replace(
            self,
            utility=self.utility * unit,
            class_utility=self.class_utility * unit,
            forgetting=self.forgetting * unit,
        )
