"""Prototypes: the samples that each class can least do without."""

from __future__ import annotations

from typing import Literal, get_args

from unscathed.adversaries.base import Adversary
from unscathed.adversaries.groups import in_turn, known_classes, no_distances, raw, shares
from unscathed.adversaries.views import BlindView
from unscathed.problems import Problems
from unscathed.reserve.screens.base import by_class
from unscathed.reserve.selection import farthest_first, herded
from unscathed.training.seeds import generator

Cover = Literal["k-center", "herding"]


class Prototypes(Adversary[BlindView]):
    """Asks for the samples that stand for each class, in raw space: those that a reserve would be chosen from.

    ``"k-center"`` takes, one after the other, the sample that is farthest from all that were taken, so that no part of
    a class keeps the samples that cover it. ``"herding"`` takes, one after the other, the sample with which the mean of
    all taken is nearest to the mean of the class: the typical ones. Each class loses its share. Where targets are no
    classes, all samples are one class.

    Args:
        budget: see `Adversary`.
        how: the rule.
        seed: of ``"k-center"``, the first of each class.

    Raises:
        BadInputError: there is no such rule, or (when it chooses) inputs have no distances.

    Source: Gonzalez 1985, "Clustering to minimize the maximum intercluster distance" (k-center); Welling 2009,
    "Herding dynamical weights to learn".
    """

    def __init__(self, budget: float | int = 0.05, *, how: Cover = "k-center", seed: int = 0) -> None:
        super().__init__(budget)
        problems = Problems("cannot use Prototypes")
        problems.require(how in get_args(Cover), f"how={how!r} must be one of {', '.join(map(repr, get_args(Cover)))}")
        problems.raise_any()
        self.how = how
        self.seed = seed

    def __repr__(self) -> str:
        return f"Prototypes(budget={self.budget}, how={self.how!r}, seed={self.seed})"

    def _lacks(self, view: BlindView) -> list[str]:
        return no_distances(view.samples)

    def _choose(self, view: BlindView, count: int) -> tuple[str, ...]:
        rule = farthest_first if self.how == "k-center" else herded
        draw, vectors = generator(self.seed, "prototypes"), raw(view.samples)
        groups = by_class(known_classes(view.samples), len(vectors))
        chosen = [
            group[rule(vectors[group], share, draw)]
            for group, share in zip(groups, shares(groups, count), strict=True)
            if share > 0
        ]
        return tuple(view.samples.ids[p] for p in in_turn(chosen).tolist())
