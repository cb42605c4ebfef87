"""Reserves as an experiment names them: how much is held back, and what happens where it runs short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from unscathed.problems import Problems
from unscathed.reserve import SpareSet
from unscathed.reserve.assignment import Assignment
from unscathed.reserve.spare_set import Shortfall
from unscathed.samples import Samples
from unscathed.similarity import Similarity


@dataclass(frozen=True, kw_only=True)
class SpareSetOf:
    """A general spare set: a share of the samples, by class, drawn by the split's seed.

    Args:
        share: the share (0 < float < 1) or the number (int) of samples held back.
        shortfall: what happens where spares of a class run out, see `SpareSet`.
        assignment: in order of the request, or jointly, see `SpareSet`.
        radius: the distance within which spares are refused, see `SpareSet`.
        across_classes: whether twins may be of another class.
    """

    share: float | int = 0.1
    shortfall: Shortfall = "partial"
    assignment: Assignment = "in order"
    radius: float | None = None
    across_classes: bool = False

    def __post_init__(self) -> None:
        problems = Problems("cannot hold a reserve back")
        whole = isinstance(self.share, int)
        problems.require(
            self.share >= 1 if whole else 0 < self.share < 1,
            f"share={self.share} must be a share between 0 and 1, or a number (as int) of at least 1",
        )
        for name, kinds in (("shortfall", Shortfall), ("assignment", Assignment)):
            value, allowed = getattr(self, name), get_args(kinds)
            problems.require(value in allowed, f"{name}={value!r} must be one of {', '.join(map(repr, allowed))}")
        problems.require(self.radius is None or self.radius >= 0, f"radius={self.radius} must not be negative")
        problems.raise_any()

    def of(self, spares: Samples, similarity: Similarity) -> SpareSet:
        """The reserve, with these spares."""
        return SpareSet(
            spares,
            similarity,
            shortfall=self.shortfall,
            assignment=self.assignment,
            radius=self.radius,
            across_classes=self.across_classes,
        )
