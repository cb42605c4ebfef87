"""Adversary: chooses what must be forgotten, from a view."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import Tensor

from unscathed.adversaries.budget import Budgeted
from unscathed.adversaries.views import BlindView
from unscathed.problems import Problems
from unscathed.samples import Samples

View = TypeVar("View", bound=BlindView)


class Adversary(Budgeted, ABC, Generic[View]):
    """Chooses a forget set. What it may know is what its view shows.

    Args:
        budget: how much it may have forgotten: a share of the samples (0 < float < 1) or a number (int).
    """

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
        problems.extend(self._problems_with(view))
        if isinstance(view, type(self).view_type):
            available = len(view.samples)
            problems.require(
                self.count(available) < available,
                f"budget={self.budget} leaves none of {available} samples; lower it",
            )
        problems.raise_any()
        return self.count(len(view.samples))

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
