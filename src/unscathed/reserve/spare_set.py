"""The reserve: spares held back before training, of which each may stand in for one forgotten sample, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from unscathed.problems import Problems
from unscathed.reserve.assignment import Assignment
from unscathed.reserve.matching import Matching
from unscathed.reserve.stock import Gone, Stock
from unscathed.reserve.twins import ReserveExhaustedError, Twins
from unscathed.reserve.vectors import SpareVectors
from unscathed.samples import Samples, as_ids
from unscathed.similarity import Cosine, Metric, Similarity
from unscathed.training import Trained

Shortfall = Literal["error", "partial"]


class SpareSet:
    """A general spare set: samples held back before training, never trained on until one is spent as a twin.

    Matching does not change the set; `spend` does, once and for all: it is a stock, not a value.

    Args:
        spares: the samples held back.
        similarity: what makes a spare a twin; by default cosine distance of the model's features.
        shortfall: what `match` does where spares of a class run out: ``"error"``, or ``"partial"``, which
            leaves the last ones asked for without a twin.
        assignment: ``"in order"``: each forgotten sample takes the nearest spare that is left (the paper's rule);
            ``"joint"``: all those of a request together, so that the sum of distances is least.
        radius: the distance within which a spare is nearly the forgotten sample, and is refused, since it would teach
            it again; None calibrates it on the spares (`calibrated_radius`), 0 refuses exact copies alone.
        across_classes: whether twins may be of another class.
        stock: the record of what is gone; by default a new one in memory.
    """

    def __init__(
        self,
        spares: Samples,
        similarity: Similarity | None = None,
        *,
        shortfall: Shortfall = "error",
        assignment: Assignment = "in order",
        radius: float | None = None,
        across_classes: bool = False,
        stock: Stock | None = None,
    ) -> None:
        problems = Problems("cannot use this reserve")
        problems.require(len(spares) > 0, "it holds no spares")
        for name, value, kinds in (("shortfall", shortfall, Shortfall), ("assignment", assignment, Assignment)):
            allowed = get_args(kinds)
            problems.require(value in allowed, f"{name}={value!r} must be one of {', '.join(map(repr, allowed))}")
        problems.require(radius is None or radius >= 0, f"radius={radius} must not be negative")
        problems.raise_any()
        self.spares = spares
        self.similarity = similarity or Cosine()
        self.shortfall = shortfall
        self.assignment = assignment
        self.radius = radius
        self.across_classes = across_classes
        self.stock = stock or Stock()
        self.vectors = SpareVectors(self.similarity)
        self._calibrated: tuple[Metric, float] | None = None

    def __len__(self) -> int:
        return len(self.spares) - len(self.gone)

    def __repr__(self) -> str:
        return f"SpareSet({len(self)} of {len(self.spares)} unspent, {self.similarity!r})"

    @property
    def gone(self) -> Mapping[str, Gone]:
        """What became of the spares that are no longer at hand, by id."""
        return self.stock.gone

    @property
    def spent(self) -> tuple[str, ...]:
        """The ids of spares that were spent, in that order."""
        return tuple(i for i, entry in self.gone.items() if entry.fate == "spent")

    @property
    def unspent(self) -> Samples:
        """The spares that are left: the model has never seen them."""
        gone = self.gone
        return self.spares.without(gone) if gone else self.spares

    # Matching.

    def match(self, forget: Samples, trained: Trained) -> Twins:
        """Find each forgotten sample's twin among the unspent spares, of its class where the task has classes.

        In the order of ``forget``, each takes the nearest that is left (the paper's ``z* = argmin d(z, z')``), or all
        are assigned together. A spare that is too close to any of the forgotten is nobody's twin.

        Args:
            forget: the forgotten samples.
            trained: the model before unlearning, whose features are compared (a damaged model's say little; then
                those of the last model that was seen whole are compared).

        Raises:
            ReserveExhaustedError: spares of a class run out, unless ``shortfall="partial"``.
        """
        unspent = self._open()
        self.vectors.refresh(self.spares, unspent, trained)
        matching = Matching(
            self.spares, unspent, self.vectors, self.assignment, self._radius(unspent), self.across_classes
        )
        matching.run(forget)
        chosen = [(i, matching.chosen.get(position)) for position, i in enumerate(forget.ids)]
        missing = tuple(i for i, spare in chosen if spare is None)
        spare_of = {i: self.spares.ids[spare] for i, spare in chosen if spare is not None}
        if missing and self.shortfall == "error":
            detail = _where(forget.only(missing), trained)
            if matching.refused:
                detail += f"; {len(matching.refused)} spares are too close to what is forgotten"
            raise ReserveExhaustedError(len(forget), len(spare_of), detail)
        return Twins(
            spare_of,
            {forget.ids[position]: far for position, far in sorted(matching.distances.items())},
            self.spares.only(spare_of.values()) if spare_of else None,
            missing,
            {self.spares.ids[spare]: forget.ids[of] for spare, of in matching.refused.items()},
            matching.radius,
        )

    # Spending.

    def spend(self, twins: Twins | Iterable[str], *, request: str = "") -> None:
        """Mark spares as spent: they are training data now.

        Args:
            twins: what `match` found, or ids of spares.
            request: the request that they are spent on, for the record.

        Raises:
            BadInputError: some were spent before or are otherwise gone, or are no spares of this reserve; then none is
                spent now.
        """
        ids = list(twins.fresh if isinstance(twins, Twins) else as_ids(twins))
        problems = Problems("cannot spend")
        problems.extend(self.spares.problems_with(ids))
        problems.raise_any()
        self.stock.take(ids, "spent", request)

    def _open(self) -> Tensor:
        """Which spares are at hand, bool [n]."""
        unspent = torch.ones(len(self.spares), dtype=torch.bool)
        gone = list(self.gone)
        if gone:
            unspent[self.spares.positions(gone)] = False
        return unspent

    def _radius(self, unspent: Tensor) -> float:
        """The distance within which spares are refused, calibrated once for each model."""
        if self.radius is not None:
            return self.radius
        if self._calibrated is None or self._calibrated[0] is not self.vectors.metric:
            self._calibrated = self.vectors.metric, self.vectors.radius(unspent)
        return self._calibrated[1]


def _where(missing: Samples, trained: Trained) -> str:
    labels = trained.task.labels(missing.targets)
    if labels is None:
        return f"{len(missing)} without a twin"
    counts = Counter(labels.tolist())
    return ", ".join(
        f"class {missing.classes[c] if missing.classes else c} lacks {n}" for c, n in sorted(counts.items())
    )
