"""Requests: who asks, for how much, and what they may see."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from unscathed.adversaries import Adversary, Random
from unscathed.problems import Problems
from unscathed.training.seeds import derive


@dataclass(frozen=True, kw_only=True)
class Requests:
    """What arrives again and again: an adversary's choice, or so many samples at random.

    Args:
        adversary: who chooses; None for random requests.
        rate: samples that one random request names; None where there is an adversary.
    """

    adversary: Adversary[Any] | None
    rate: int | None

    def problems(self) -> list[str]:
        """What is wrong with them, one sentence each."""
        problems = Problems("")
        problems.require((self.adversary is None) != (self.rate is None), "give either adversary=… or rate=…")
        problems.require(self.rate is None or self.rate >= 1, f"rate={self.rate} must be at least 1 sample a request")
        return problems.found

    @property
    def fixed(self) -> int | None:
        """Samples that a request names, whatever is left; None where it names a share of what is left."""
        if self.adversary is None:
            return self.rate
        return self.adversary.budget if isinstance(self.adversary.budget, int) else None

    def size(self, scale: float) -> int | None:
        """What `fixed` is where only this share of the data is there."""
        return None if self.fixed is None else max(1, round(self.fixed * scale))

    def possible(self, train: int, scale: float = 1.0) -> int:
        """How many requests so many samples can serve, each leaving some."""
        asking, served = self.by(0, scale), 0
        while asking.count(train) < train:
            train -= asking.count(train)
            served += 1
        return served

    def by(self, seed: int, scale: float = 1.0) -> Adversary[Any]:
        """Who asks in the run of this seed, on this share of the data; what draws at random draws by the seed."""
        made = Random(self.rate) if self.adversary is None and self.rate is not None else copy.copy(self.adversary)
        assert made is not None
        size = self.size(scale)
        if size is not None:
            made.budget = size
        drawn = getattr(made, "seed", None)
        if drawn is not None:
            made.seed = derive(drawn, "requests", seed)  # type: ignore[union-attr]
        return made

    def __str__(self) -> str:
        return f"{self.rate} random samples a request" if self.adversary is None else f"requests by {self.adversary!r}"
