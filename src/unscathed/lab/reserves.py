"""Reserves as an experiment names them: how much is held back, and what happens where it runs short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unscathed.problems import Problems


@dataclass(frozen=True, kw_only=True)
class SpareSetOf:
    """A general spare set: a share of the samples, by class, drawn by the split's seed.

    Args:
        share: the share (0 < float < 1) or the number (int) of samples held back.
        shortfall: what happens where spares of a class run out, see `SpareSet`.
    """

    share: float | int = 0.1
    shortfall: Literal["error", "partial"] = "partial"

    def __post_init__(self) -> None:
        problems = Problems("cannot hold a reserve back")
        whole = isinstance(self.share, int)
        problems.require(
            self.share >= 1 if whole else 0 < self.share < 1,
            f"share={self.share} must be a share between 0 and 1, or a number (as int) of at least 1",
        )
        problems.require(
            self.shortfall in ("error", "partial"), f"shortfall={self.shortfall!r} must be 'error' or 'partial'"
        )
        problems.raise_any()
