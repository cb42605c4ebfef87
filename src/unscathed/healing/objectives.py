"""Objectives: what a healer descends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from unscathed.problems import Problems
from unscathed.samples import Batch
from unscathed.task import Task
from unscathed.training import Objective, Teacher, Trained


class HealingObjective(ABC):
    """What is descended on the samples healed on. Subclasses say whether they ask the model before unlearning."""

    needs_before: ClassVar[bool] = False
    """Whether the model before unlearning must be at hand."""

    @abstractmethod
    def objective(self, task: Task, before: Trained | None) -> Objective:
        """One number a sample, [n], from outputs and their batch.

        Args:
            task: whose outputs they are.
            before: the model before unlearning, where it is at hand.
        """


@dataclass(frozen=True, kw_only=True)
class OwnLoss(HealingObjective):
    """The task's own loss, as in training."""

    def objective(self, task: Task, before: Trained | None) -> Objective:
        """`Task.losses`."""
        return task.losses


@dataclass(frozen=True, kw_only=True)
class Distillation(HealingObjective):
    """The answers of the model before unlearning, which is shown what is healed on and never a forgotten input.

    ``(1 - τ) d(x; θ_before, θ) + τ ℓ(θ; x, y)``, d being the divergence of answers (`Task.divergences`; KL for
    classes). What it says of retained inputs and twins may still carry some of what it knew of the forgotten: the audit
    looks.

    Args:
        targets: τ, the share of the task's own loss; at 0 no label is looked at.

    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", at temperature 1; the teacher that heals
    is chosen here.
    """

    needs_before: ClassVar[bool] = True

    targets: float = 0.0

    def __post_init__(self) -> None:
        problems = Problems("cannot use Distillation")
        problems.require(0 <= self.targets < 1, f"targets={self.targets} must be a share, 0 ≤ targets < 1")
        problems.raise_any()

    def objective(self, task: Task, before: Trained | None) -> Objective:
        """The divergence from the teacher's answers, and the task's loss beside it."""
        assert before is not None
        teacher = Teacher(before)

        def obey(outputs: Any, batch: Batch) -> Tensor:
            apart = teacher.divergences(outputs, batch)
            if self.targets == 0:
                return apart
            return (1 - self.targets) * apart + self.targets * task.losses(outputs, batch)

        return obey
