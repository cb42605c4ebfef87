"""Cases: results arranged the way a reader asks for them, one adversary and one unlearner at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from unscathed.lab.results import Results, Row

BOTH, CONTROL, TWINS = "retain+twins", "retain", "twins"
"""The healing strategies."""
TITLES = {"retrain": "Retrain", "sisa": "SISA", "fisher": "Fisher", "influence": "Influence"}


@dataclass
class Case:
    """One unlearner's answer to one adversary: the model at every stage. A stage that was not measured is None.

    Args:
        adversary: who chose the forget set.
        unlearner: the method.
        name: the unlearner's, as a reader should see it.
        original: before anything was forgotten.
        gold: retrained without the forgotten.
        unlearned: after unlearning.
        healed: after healing, by strategy.
    """

    adversary: str
    unlearner: str
    name: str
    original: Row | None = None
    gold: Row | None = None
    unlearned: Row | None = None
    healed: dict[str, Row] = field(default_factory=dict)

    @property
    def both(self) -> Row | None:
        """Healed on retained samples and twins."""
        return self.healed.get(BOTH)

    @property
    def control(self) -> Row | None:
        """Healed on retained samples alone."""
        return self.healed.get(CONTROL)

    @property
    def twins_only(self) -> Row | None:
        """Healed on twins alone."""
        return self.healed.get(TWINS)

    @property
    def reference(self) -> Row | None:
        """What the audit compares forgetting with: gold; for SISA, which is exact, its own retraining."""
        return self.unlearned if self.unlearner == "sisa" else self.gold

    @property
    def exact(self) -> bool:
        """Whether its unlearning is exact: the model never saw the forgotten."""
        return self.unlearner in ("retrain", "sisa")

    @property
    def under(self) -> str:
        """Who asked, as a sentence goes on: ``under the blind adversary``."""
        return "under random requests" if self.adversary == "random" else f"under the {self.adversary} adversary"

    def price(self) -> tuple[float, float] | None:
        """Gradient steps and seconds of unlearning and healing together, as shares of gold's."""
        if self.gold is None or self.unlearned is None or self.both is None:
            return None
        if self.gold.steps <= 0 or self.gold.seconds <= 0:
            return None
        parts = (self.unlearned, self.both)
        return sum(p.steps for p in parts) / self.gold.steps, sum(p.seconds for p in parts) / self.gold.seconds


def cases(results: Results) -> list[Case]:
    """All cases, in the order in which they were measured; each seed makes cases of its own."""
    several = len({row.seed for row in results.rows}) > 1
    found: dict[tuple[str, str, int], Case] = {}
    for row in results.rows:
        title = TITLES.get(row.unlearner, row.unlearner)
        name = f"{title}, seed {row.seed}" if several else title
        case = found.setdefault((row.adversary, row.unlearner, row.seed), Case(row.adversary, row.unlearner, name))
        if row.stage == "healed":
            case.healed[row.healer or ""] = row
        else:
            setattr(case, row.stage, row)
    return list(found.values())


def by_adversary(found: Iterable[Case]) -> dict[str, list[Case]]:
    """The cases of each adversary."""
    groups: dict[str, list[Case]] = {}
    for case in found:
        groups.setdefault(case.adversary, []).append(case)
    return groups


def by_unlearner(found: Iterable[Case]) -> dict[str, list[Case]]:
    """The cases of each unlearner, by its name."""
    groups: dict[str, list[Case]] = {}
    for case in found:
        groups.setdefault(TITLES.get(case.unlearner, case.unlearner), []).append(case)
    return groups
