"""Adversary: chooses what must be forgotten, from a view."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from unscathed.adversaries.views import BlindView, OutputView
from unscathed.problems import Problems
from unscathed.samples import Samples

View = TypeVar("View", bound=BlindView)


class Adversary(ABC, Generic[View]):
    """Chooses a forget set. What it may know is what its view shows.

    Args:
        budget: how much it may have forgotten: a share of the samples (0 < float < 1) or a number (int).
    """

    view_type: ClassVar[type[BlindView]] = BlindView
    """The least that it must be shown."""

    works_from_labels: ClassVar[bool] = False
    """Whether predicted classes are enough, where it asks the model anything (``OutputView(…, labels_only=True)``)."""

    def __init__(self, budget: float | int) -> None:
        problems = Problems(f"cannot use {type(self).__name__}")
        if isinstance(budget, int):
            problems.require(budget >= 1, f"budget={budget} must be at least 1 sample")
        else:
            problems.require(0 < budget < 1, f"budget={budget} must be a share between 0 and 1 (or a number, as int)")
        problems.raise_any()
        self.budget = budget

    def choose(self, view: View) -> tuple[str, ...]:
        """The ids to have forgotten, most wanted first.

        Args:
            view: what the adversary may know.

        Raises:
            BadInputError: the view shows less than this adversary needs, or the budget exceeds the samples.
        """
        return self._choose(view, self.check(view))

    def check(self, view: BlindView) -> int:
        """How many samples the budget allows of this view's; raises `BadInputError` where it shows too little."""
        problems = Problems(f"cannot attack with {type(self).__name__}")
        needed = type(self).view_type
        if problems.require(
            isinstance(view, needed), f"it needs a {needed.__name__}, and a {type(view).__name__} shows less"
        ):
            available = len(view.samples)
            problems.require(
                self.count(available) < available,
                f"budget={self.budget} leaves none of {available} samples; lower it",
            )
            if isinstance(view, OutputView) and issubclass(needed, OutputView):
                problems.require(
                    self.works_from_labels or not view.labels_only,
                    "it needs outputs, and this view answers with predicted classes alone (labels_only=True)",
                )
            problems.extend(self._lacks(view))
        problems.raise_any()
        return self.count(len(view.samples))

    def count(self, available: int) -> int:
        """How many of so many samples the budget allows, at least 1."""
        return self.budget if isinstance(self.budget, int) else max(1, round(self.budget * available))

    def _lacks(self, view: BlindView) -> list[str]:
        """What else it would need of a view that is of the right type, one sentence each."""
        return []

    @abstractmethod
    def _choose(self, view: View, count: int) -> tuple[str, ...]:
        """The work; everything has been checked."""


class Ranking(Adversary[View]):
    """An adversary that values each sample once, and asks for the most valuable, however many it may."""

    def choose(self, view: View, *, values: Tensor | None = None) -> tuple[str, ...]:
        """The ids to have forgotten, most wanted first.

        Args:
            view: what the adversary may know.
            values: what `values` gave for this view before, float [n]: budgets share it.

        Raises:
            BadInputError: the view shows less than this adversary needs, or the budget exceeds the samples.
        """
        return super().choose(view) if values is None else highest(view.samples, values, self.check(view))

    @abstractmethod
    def values(self, view: View) -> Tensor:
        """How much each of the view's samples is wanted, [n], higher is more."""

    def _choose(self, view: View, count: int) -> tuple[str, ...]:
        return highest(view.samples, self.values(view), count)


def highest(samples: Samples, values: Tensor, count: int) -> tuple[str, ...]:
    """The ids of the ``count`` samples with the highest values [n], highest first; ties in the samples' order."""
    order = torch.argsort(values, descending=True, stable=True)[:count]
    return tuple(samples.ids[p] for p in order.tolist())
