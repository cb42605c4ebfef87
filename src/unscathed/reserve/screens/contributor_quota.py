"""Contributor quota: nobody may hold more than a share of the reserve."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unscathed.problems import Problems
from unscathed.reserve.screens.base import Screen
from unscathed.training.seeds import generator


@dataclass(frozen=True, kw_only=True)
class ContributorQuota(Screen):
    """Whether a spare is surplus to its contributor's quota; which ones are, the seed draws.

    It bounds what one contributor can do, whatever it contributed. One who goes by many names goes around it.

    Args:
        quota: the share of all spares that a contributor may hold, above 0 and up to 1; at least one spare.
        seed: which of a contributor's spares are surplus.
    """

    quota: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        problems = Problems("cannot use ContributorQuota")
        problems.require(0 < self.quota <= 1, f"quota={self.quota} must be a share above 0 and up to 1")
        problems.raise_any()

    def scores(
        self, vectors: Tensor, labels: Tensor | None = None, contributors: Sequence[str] | None = None
    ) -> Tensor:
        """1 for the surplus, 0 for the rest; see `Screen.scores`."""
        problems = Problems("cannot screen with ContributorQuota")
        if problems.require(contributors is not None, "it needs to know who contributed each spare"):
            assert contributors is not None
            problems.require(
                len(contributors) == len(vectors),
                f"{len(vectors)} spares but {len(contributors)} contributors; name one a spare",
            )
        problems.raise_any()
        assert contributors is not None
        allowed = max(1, math.floor(self.quota * len(vectors) + 1e-9))
        held: defaultdict[str, list[int]] = defaultdict(list)
        for position, name in enumerate(contributors):
            held[name].append(position)
        scores = torch.zeros(len(vectors))
        for name, positions in held.items():
            order = torch.randperm(len(positions), generator=generator(self.seed, "quota", name))
            scores[torch.tensor(positions)[order[allowed:]]] = 1.0
        return scores

    def flag(self, scores: Tensor, *, lose: float | None = None, threshold: float | None = None) -> Tensor:
        """The surplus, however much one is ready to lose: this is a rule, and no suspicion."""
        return scores > (0.5 if threshold is None else threshold)
