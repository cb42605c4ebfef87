"""Measure: one question about a model, answered as differences from a reference, each with an interval."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from unscathed.audit.case import Case
from unscathed.audit.check import Check
from unscathed.training import Trained

Question = Literal["utility", "forgetting"]


class Measure(ABC):
    """One question about a model. Subclasses are frozen dataclasses; an audit is made of any of them."""

    asks: ClassVar[Question]
    """What its checks are of: what the model can still do, or what it still knows of the forgotten."""
    weak: ClassVar[bool] = False
    """Whether it is a cheap first look that stronger measures overrule; the verdict says so."""

    def problems_with(self, case: Case) -> list[str]:
        """What this measure lacks to judge any model of the case, one sentence each; by default nothing."""
        return []

    @abstractmethod
    def checks(self, model: Trained, case: Case) -> tuple[Check, ...]:
        """Judge a model; called for the model audited and for each control, so names must be the same for all.

        Args:
            model: any model of the case's task.
            case: what it is judged by; nothing that this measure needs is missing (`problems_with`).

        Returns:
            The checks, the most telling first; none where the case leaves this question open.
        """
