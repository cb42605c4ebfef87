"""Cases: results arranged the way a reader asks for them, one adversary and one unlearner at a time, over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from unscathed.lab.labels import BOTH, CONTROL, TWINS, Labels, parse, strategy, variant
from unscathed.lab.results import Results, Row
from unscathed.lab.statistics import Estimate, estimate

EXACT = ("retrain", "sisa")
"""Unlearners, by the name of their class in lower case, whose models never saw the forgotten."""
RETRAINED = ("certifiedremoval",)
"""Unlearners that train in their own way, and are audited against retraining in that way."""


@dataclass(frozen=True)
class Model:
    """A model at one stage, over seeds; its numbers are means.

    Args:
        rows: its measurements, one a seed.
    """

    rows: tuple[Row, ...]

    @property
    def test_accuracy(self) -> float:
        """On test samples."""
        return self.mean("test_accuracy")

    @property
    def forget_accuracy(self) -> float:
        """On the forgotten."""
        return self.mean("forget_accuracy")

    @property
    def membership_auc(self) -> float:
        """How well margins tell the forgotten from test samples."""
        return self.mean("membership_auc")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that it was measured with."""
        return tuple(row.seed for row in self.rows)

    def mean(self, measure: str) -> float:
        """The mean of a field over seeds; NaN where it was not measured."""
        return self.estimate(measure).mean

    def estimate(self, measure: str) -> Estimate:
        """The mean of a field over seeds, with its interval; NaN where it was not measured."""
        values = [value for row in self.rows if not math.isnan(value := getattr(row, measure))]
        return estimate(values) if values else Estimate(math.nan, None, None, 0)

    def at(self, seed: int) -> Row | None:
        """The measurement of one seed."""
        return next((row for row in self.rows if row.seed == seed), None)

    def only(self, seeds: Iterable[int]) -> Model | None:
        """The model over some of its seeds; None where it has none of them."""
        kept = tuple(row for row in self.rows if row.seed in set(seeds))
        return Model(kept) if kept else None

    def words(self, question: str) -> list[str]:
        """The audit's words on ``whole`` or ``forgotten``, one a seed that was audited."""
        return [word for row in self.rows if (word := getattr(row, question)) is not None]

    def minus(self, other: Model | None, measure: str = "test_accuracy") -> Estimate | None:
        """The mean difference from another model, paired by seed, with its interval; None without a common seed."""
        pairs = [(row, match) for row in self.rows if other is not None and (match := other.at(row.seed)) is not None]
        differences = [getattr(ours, measure) - getattr(theirs, measure) for ours, theirs in pairs]
        differences = [difference for difference in differences if not math.isnan(difference)]
        return estimate(differences) if differences else None


@dataclass
class Case:
    """One unlearner's answer to one adversary: the model at every stage. A stage that was not measured is None.

    Args:
        adversary: who chose the forget set, as a reader should see it.
        requester: the same without its budget.
        unlearner: the method, as a reader should see it.
        family: the name of its class, in lower case.
        way: what else tells the case from others: how it was healed; mostly empty.
        original: before anything was forgotten.
        gold: retrained without the forgotten.
        unlearned: after unlearning.
        healed: after healing, by strategy.
    """

    adversary: str
    requester: str
    unlearner: str
    family: str
    way: str = ""
    original: Model | None = None
    gold: Model | None = None
    unlearned: Model | None = None
    healed: dict[str, Model] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The unlearner, and what else tells the case from others."""
        return f"{self.unlearner}, {self.way}" if self.way else self.unlearner

    @property
    def both(self) -> Model | None:
        """Healed on retained samples and twins."""
        return self.healed.get(BOTH)

    @property
    def control(self) -> Model | None:
        """Healed on retained samples alone."""
        return self.healed.get(CONTROL)

    @property
    def twins_only(self) -> Model | None:
        """Healed on twins alone."""
        return self.healed.get(TWINS)

    @property
    def models(self) -> Sequence[Model | None]:
        """Every stage, in the order of the main table."""
        return (self.original, self.gold, self.unlearned, self.both, self.control, self.twins_only)

    @property
    def sharded(self) -> bool:
        """Whether its original is an ensemble of its own, and its forgetting compares with its own retraining."""
        return self.family == "sisa"

    @property
    def reference(self) -> Model | None:
        """What the audit compares forgetting with: gold; for SISA, which is exact, its own retraining."""
        return self.unlearned if self.sharded else self.gold

    @property
    def unseen_reference(self) -> bool:
        """Whether the audit compares forgetting with a retraining of its own that is not among the results."""
        return self.family in RETRAINED

    @property
    def exact(self) -> bool:
        """Whether its unlearning is exact: the model never saw the forgotten."""
        return self.family in EXACT

    @property
    def under(self) -> str:
        """Who asked, as a sentence goes on: ``under the blind adversary``."""
        if self.requester == "random":
            return f"under {self.adversary} requests"
        return f"under the {self.adversary} adversary"

    def price(self) -> tuple[float, float] | None:
        """Gradient steps and seconds of unlearning and healing together, as shares of gold's."""
        if self.gold is None or self.unlearned is None or self.both is None:
            return None
        gold = [self.gold.mean(part) for part in ("steps", "seconds")]
        if min(gold) <= 0:
            return None
        spent = [self.unlearned.mean(part) + self.both.mean(part) for part in ("steps", "seconds")]
        return spent[0] / gold[0], spent[1] / gold[1]


def cases(results: Results) -> list[Case]:
    """All cases, in the order in which they were measured."""
    rows = results.rows
    adversaries = Labels("adversary", (row.adversary for row in rows))
    unlearners = Labels("unlearner", (row.unlearner for row in rows))
    similarities = Labels("similarity", (row.similarity for row in rows))
    healing = _healing(rows)
    gathered: dict[tuple[str, str, tuple[str, str | None]], dict[str, list[Row]]] = {}
    for row in rows:
        for way in healing if row.stage != "healed" else [way for way in healing if _goes(row, way)]:
            stages = gathered.setdefault((row.adversary, row.unlearner, way), {})
            stages.setdefault(strategy(row.healer or "") if row.stage == "healed" else row.stage, []).append(row)
    found = []
    for (adversary, unlearner, (kind, similarity)), stages in gathered.items():
        about = [kind] if len({way[0] for way in healing}) > 1 else []
        about += [similarities(similarity)] if len(similarities.values) > 1 else []
        case = Case(
            adversaries(adversary),
            parse(adversary).title,
            unlearners(unlearner),
            parse(unlearner).family,
            ", ".join(part for part in about if part),
        )
        for stage, own in stages.items():
            if stage in ("original", "gold", "unlearned"):
                setattr(case, stage, Model(tuple(own)))
            else:
                case.healed[stage] = Model(tuple(own))
        found.append(case)
    return found


def _healing(rows: Iterable[Row]) -> list[tuple[str, str | None]]:
    """The ways of healing that make cases of their own: healers beyond their strategy, and similarities."""
    healed = [row for row in rows if row.stage == "healed"]
    ways = dict.fromkeys((variant(row.healer or ""), row.similarity) for row in healed)
    # Healing without twins is the same for every similarity, and makes no case where there is one with twins.
    return [way for way in ways if way[1] is not None or not any(w[0] == way[0] and w[1] for w in ways)] or [("", None)]


def _goes(row: Row, way: tuple[str, str | None]) -> bool:
    return variant(row.healer or "") == way[0] and row.similarity in (None, way[1])


def by_adversary(found: Iterable[Case]) -> dict[str, list[Case]]:
    """The cases of each adversary."""
    groups: dict[str, list[Case]] = {}
    for case in found:
        groups.setdefault(case.adversary, []).append(case)
    return groups


def by_unlearner(found: Iterable[Case]) -> dict[str, list[Case]]:
    """The cases of each unlearner, by its label."""
    groups: dict[str, list[Case]] = {}
    for case in found:
        groups.setdefault(case.unlearner, []).append(case)
    return groups
