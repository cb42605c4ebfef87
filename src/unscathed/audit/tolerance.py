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
        relearning: how much sooner or later than gold the forgotten may be relearned, as a share of gold's steps.
        worst_class: how much lower the worst class's score may be; None tells it and judges each class by itself.
        loss: how much higher the mean loss on test samples may be, in its own unit; None tells it and does not judge.
        calibration: how much higher the calibration error may be (0.02: two points); None tells it and does not judge.
    """

    utility: float = 0.02
    class_utility: float = 0.05
    forgetting: float = 0.05
    membership: float = 0.05
    relearning: float = 0.5
    worst_class: float | None = None
    loss: float | None = None
    calibration: float | None = None

    def of(self, task: Task) -> Tolerance:
        """The same in the units of a task's own scores."""
        unit = task.score_range
        return replace(
            self,
            utility=self.utility * unit,
            class_utility=self.class_utility * unit,
            forgetting=self.forgetting * unit,
            worst_class=None if self.worst_class is None else self.worst_class * unit,
        )
