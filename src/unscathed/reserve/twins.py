"""Twins: which spare stands in for which forgotten sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from unscathed.problems import UnscathedError
from unscathed.samples import Samples


@dataclass(frozen=True)
class Twins:
    """Which spare stands in for which forgotten sample.

    Args:
        spare_of: the spare's id for each forgotten id that has one.
        distances: how far apart the two are.
        samples: the spares; None where there are none.
        missing: forgotten ids for which no spare was left.
        refused: spares that were nearly a forgotten sample (or its copy), and would teach it again; by id, with the id
            of that sample. Whoever deletes it should ask whether these are to go too.
        radius: the distance within which they were refused; 0 where only copies were.
        reused: those of the spares that were spent before, and are training data already.
    """

    spare_of: Mapping[str, str]
    distances: Mapping[str, float]
    samples: Samples | None
    missing: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    radius: float = 0.0
    reused: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.spare_of)

    @property
    def fresh(self) -> tuple[str, ...]:
        """The spares that were never spent before, which `SpareSet.spend` spends."""
        before = set(self.reused)
        return tuple(i for i in self.spare_of.values() if i not in before)

    @property
    def mean_distance(self) -> float:
        """How far twins are from what they stand in for, on average; NaN where there are none."""
        return sum(self.distances.values()) / len(self.distances) if self.distances else float("nan")


class ReserveExhaustedError(UnscathedError):
    """The reserve holds fewer fitting spares than were asked for.

    Args:
        asked: how many forgotten samples want a twin.
        left: how many of them could get one.
        detail: where they are missing.
    """

    def __init__(self, asked: int, left: int, detail: str) -> None:
        self.asked = asked
        self.left = left
        self.detail = detail
        super().__init__(
            f"the reserve is exhausted: {asked} twins were asked for, {left} are left that fit ({detail}). "
            "Heal with what is left (shortfall='partial'), use spent spares again, the least alike first "
            "(shortfall='reuse'), add fresh samples (top_up), or heal without twins (Healer(strategy='retain'))"
        )

    def __reduce__(self) -> tuple[type[ReserveExhaustedError], tuple[int, int, str]]:
        return ReserveExhaustedError, (self.asked, self.left, self.detail)
