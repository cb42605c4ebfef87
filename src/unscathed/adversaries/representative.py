"""Representative: the samples that the model takes for typical."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from unscathed.adversaries.base import Adversary
from unscathed.adversaries.groups import in_turn, shares
from unscathed.adversaries.views import OutputView
from unscathed.problems import Problems
from unscathed.reserve.screens.base import by_class
from unscathed.reserve.selection import herded

Typical = Literal["nearest", "herding"]


class Representative(Adversary[OutputView]):
    """Asks for the samples that stand for their class by what the model answers: those a replay memory would keep.

    ``"nearest"`` takes the samples whose outputs lie nearest to the mean output of their class; ``"herding"``, one
    after the other, the sample with which the mean output of all taken is nearest to it. Each class loses its share.
    Where there are no classes, all samples are one class.

    Args:
        budget: see `Adversary`.
        how: the rule.

    Raises:
        BadInputError: there is no such rule.

    Source: Rebuffi et al. 2017, "iCaRL: Incremental Classifier and Representation Learning", algorithm 4 (herding;
    there by features).
    """

    view_type = OutputView

    def __init__(self, budget: float | int = 0.05, *, how: Typical = "nearest") -> None:
        super().__init__(budget)
        allowed = get_args(Typical)
        problems = Problems("cannot use Representative")
        problems.require(how in allowed, f"how={how!r} must be one of {', '.join(map(repr, allowed))}")
        problems.raise_any()
        self.how = how

    def __repr__(self) -> str:
        return f"Representative(budget={self.budget}, how={self.how!r})"

    def _choose(self, view: OutputView, count: int) -> tuple[str, ...]:
        outputs = view.outputs(view.samples).flatten(1).float()
        rule = _nearest if self.how == "nearest" else herded
        draw = torch.Generator()  # neither rule leaves anything to chance
        groups = by_class(view.labels(view.samples.targets), len(outputs))
        chosen = [
            group[rule(outputs[group], share, draw)]
            for group, share in zip(groups, shares(groups, count), strict=True)
            if share > 0
        ]
        return tuple(view.samples.ids[p] for p in in_turn(chosen).tolist())


def _nearest(outputs: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """The positions of the outputs [n, d] that are nearest to their mean, int64 [count], the nearest first."""
    distances = (outputs - outputs.mean(dim=0)).square().sum(dim=1)
    return torch.argsort(distances, stable=True)[:count]
