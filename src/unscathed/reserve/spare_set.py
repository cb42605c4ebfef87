"""The reserve: spares held back before training, of which each may stand in for one forgotten sample, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from unscathed.problems import Problems, some
from unscathed.reserve.approximate import Approximate
from unscathed.reserve.assignment import Assignment
from unscathed.reserve.copies import near_copies
from unscathed.reserve.matching import Matching
from unscathed.reserve.reuse import spent_again
from unscathed.reserve.saved import STOCK, add_part, holds_reserve, read_reserve, write_record
from unscathed.reserve.stock import Gone, Stock
from unscathed.reserve.twins import ReserveExhaustedError, Twins
from unscathed.reserve.vectors import SpareVectors
from unscathed.samples import Samples, as_ids
from unscathed.similarity import Cosine, Metric, Similarity
from unscathed.training import Trained

Shortfall = Literal["error", "partial", "reuse"]


class SpareSet:
    """A general spare set: samples held back before training, never trained on until one is spent as a twin.

    Matching does not change the set; `spend` does, once and for all: it is a stock, not a value.

    Args:
        spares: the samples held back.
        similarity: what makes a spare a twin; by default cosine distance of the model's features.
        shortfall: what `match` does where spares of a class run out: ``"error"``; ``"partial"``, which leaves the last
            ones asked for without a twin; or ``"reuse"``, which gives them spares that were spent before, those first
            that were farthest from what they stand in for.
        assignment: ``"in order"``: each forgotten sample takes the nearest spare that is left (the paper's rule);
            ``"joint"``: all those of a request together, so that the sum of distances is least.
        radius: the distance within which a spare is nearly the forgotten sample, and is refused, since it would teach
            it again; None calibrates it on the spares (`calibrated_radius`), 0 refuses exact copies alone.
        across_classes: whether twins may be of another class (then distances do not differ by class).
        partners: a spare of its own for each of some training samples (`pair`); who has one gets it, if it is at hand.
        approximate: an index for very large reserves (``vectors.recall()`` measures what it misses); by default search
            is exact.
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
        partners: Mapping[str, str] | None = None,
        approximate: Approximate | None = None,
        stock: Stock | None = None,
    ) -> None:
        problems = Problems("cannot use this reserve")
        problems.require(len(spares) > 0, "it holds no spares")
        for name, value, kinds in (("shortfall", shortfall, Shortfall), ("assignment", assignment, Assignment)):
            allowed = get_args(kinds)
            problems.require(value in allowed, f"{name}={value!r} must be one of {', '.join(map(repr, allowed))}")
        problems.require(radius is None or radius >= 0, f"radius={radius} must not be negative")
        strangers = [] if partners is None else sorted(set(partners.values()) - set(spares.ids))
        problems.require(not strangers, f"{len(strangers)} partners are no spares of this reserve ({some(strangers)})")
        problems.raise_any()
        self.spares = spares
        self.similarity = similarity or Cosine()
        self.shortfall = shortfall
        self.assignment = assignment
        self.radius = radius
        self.across_classes = across_classes
        self.partners = dict(partners or {})
        self.stock = stock or Stock()
        self.folder: Path | None = None
        self.vectors = SpareVectors(self.similarity, approximate)
        self._calibrated: tuple[tuple[Metric, bool], float] | None = None

    def __len__(self) -> int:
        return len(self.spares) - len(self.gone)

    def __repr__(self) -> str:
        return f"SpareSet({len(self)} of {len(self.spares)} unspent, {self.similarity!r})"

    @property
    def gone(self) -> Mapping[str, Gone]:
        """What became of the spares that are no longer at hand, by id."""
        gone = self.stock.gone
        # Another process may have added spares to a saved reserve, and spent them, since this one read it.
        known = set(self.spares.ids) if gone else set()
        return {i: entry for i, entry in gone.items() if i in known}

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

    def match(
        self, forget: Samples, trained: Trained, *, but: Iterable[str] = (), distinct: Samples | None = None
    ) -> Twins:
        """Find each forgotten sample's twin among the unspent spares, of its class where the task has classes.

        In the order of ``forget``, each takes the nearest that is left (the paper's ``z* = argmin d(z, z')``), or all
        are assigned together. A spare that is too close to any of the forgotten is nobody's twin.

        Args:
            forget: the forgotten samples.
            trained: the model before unlearning, whose features are compared (a damaged model's say little; then
                those of the last model that was seen whole are compared).
            but: ids of spares that are nobody's twin.
            distinct: samples on which ``radius`` is calibrated, retained ones say; by default the spares. Whoever
                filled the reserve with near copies made spares seem to lie close together.

        Raises:
            BadInputError: nothing is forgotten, or ``but`` names what is no spare.
            ReserveExhaustedError: spares of a class run out, and ``shortfall`` is ``"error"``.
        """
        problems = Problems("cannot match twins")
        problems.require(len(forget) > 0, "there are no forgotten samples; give at least one")
        problems.extend(self.spares.problems_with(as_ids(but)))
        problems.raise_any()
        unspent = self._open()
        self.vectors.refresh(self.spares, unspent, trained)
        unspent[self.spares.positions(but)] = False
        matching = Matching(
            self.spares, unspent, self.vectors, self.assignment, self._radius(unspent, distinct), self.across_classes
        )
        matching.run(forget, self._partners_of(forget))
        missing = [i for position, i in enumerate(forget.ids) if position not in matching.chosen]
        if missing and self.shortfall == "error":
            detail = _where(forget.only(missing), trained)
            if matching.refused:
                detail += f"; {len(matching.refused)} spares are too close to what is forgotten"
            raise ReserveExhaustedError(len(forget), len(matching.chosen), detail)
        again = self._spent_again(forget.only(missing), trained) if missing and self.shortfall == "reuse" else {}
        found = {forget.ids[position]: self.spares.ids[spare] for position, spare in matching.chosen.items()} | again
        spare_of = {i: found[i] for i in forget.ids if i in found}
        return Twins(
            spare_of,
            {forget.ids[position]: far for position, far in sorted(matching.distances.items())},
            self.spares.only(spare_of.values()) if spare_of else None,
            tuple(i for i in missing if i not in again),
            {self.spares.ids[spare]: forget.ids[of] for spare, of in matching.refused.items()},
            matching.radius,
            tuple(again.values()),
        )

    def near_copies(self, of: Samples, among: Samples, trained: Trained) -> dict[str, tuple[str, ...]]:
        """Which samples are nearly the same as those given, under other ids: deleting one copy deletes nothing.

        Args:
            of: samples that are to be forgotten, say.
            among: samples that stay, say; what is there under an id of ``of`` is left out.
            trained: as for `match`.

        Returns:
            Ids in ``among``, nearest first, at most 16 each, by the id of the sample that they are too close to.
        """
        unspent = self._open()
        self.vectors.refresh(self.spares, unspent, trained)
        others = among.without(set(of.ids) & set(among.ids))
        if not len(of) or not len(others):
            return {}
        return near_copies(of, others, self.vectors, self._radius(unspent, others))

    # Spending.

    def spend(self, twins: Twins | Iterable[str], *, beside: Iterable[str] = (), request: str = "") -> None:
        """Mark spares as spent: they are training data now.

        Args:
            twins: what `match` found, or ids of spares.
            beside: ids of spares that a healer drew besides; they go together or not at all.
            request: the request that they are spent on, for the record.

        Raises:
            BadInputError: some were spent before or are otherwise gone, or are no spares of this reserve; then none is
                spent now.
        """
        ids = [*(twins.fresh if isinstance(twins, Twins) else as_ids(twins)), *beside]
        problems = Problems("cannot spend")
        problems.extend(self.spares.problems_with(ids))
        problems.raise_any()
        distances = {}
        if isinstance(twins, Twins):
            distances = {twins.spare_of[i]: far for i, far in twins.distances.items()}
        self.stock.take(ids, "spent", request, distances)

    def withdraw(self, ids: Iterable[str], *, request: str = "") -> tuple[str, ...]:
        """Honour the wish that spares be forgotten: those at hand, and those in quarantine, leave the reserve.

        Args:
            ids: of spares.
            request: who asked, for the record.

        Returns:
            Those of them that were spent before. They are training data: they must be unlearned.

        Raises:
            BadInputError: some are no spares of this reserve, or are named twice.
        """
        listed = as_ids(ids)
        problems = Problems("cannot withdraw spares")
        problems.extend(self.spares.problems_with(listed))
        problems.raise_any()
        gone = self.gone
        here = [i for i in listed if i not in gone or gone[i].fate == "quarantined"]
        self.stock.take(here, "withdrawn", request)
        return tuple(i for i in listed if i in gone and gone[i].fate == "spent")

    def top_up(self, fresh: Samples) -> None:
        """Add spares that no model has trained on; a reserve that was saved has them on disk when this returns.

        Raises:
            BadInputError: some are in the reserve already, or do not look like its samples.
        """
        joined = self.spares + fresh
        if self.folder is not None:
            add_part(fresh, self.folder)
        self.spares = joined

    # On disk.

    def save(self, folder: str | Path) -> None:
        """Keep this reserve in a new folder from now on: its spares, and the record of what is gone.

        Raises:
            BadInputError: there is a reserve in that folder already.
        """
        problems = Problems(f"cannot save this reserve in {folder}")
        problems.require(self.folder is None, f"it is kept in {self.folder} already")
        problems.require(not holds_reserve(Path(folder)), "there is a reserve in it already; load it, or give another")
        problems.raise_any()
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_record(self.partners, self.spares.classes, Path(folder))
        add_part(self.spares, Path(folder))
        # The stock comes last: a folder without it is not loaded, and until then this reserve is as it was.
        self.stock.move_to(Path(folder) / STOCK)
        self.folder = Path(folder)

    @staticmethod
    def load(folder: str | Path, similarity: Similarity | None = None, **settings: Any) -> SpareSet:
        """Open a reserve that was saved. What it spends from now on is recorded there; so do other processes.

        Args:
            folder: where it was saved.
            similarity: as for a new one.
            settings: as for a new one.

        Raises:
            BadInputError: there is none, or it is damaged.
        """
        spares, partners = read_reserve(Path(folder))
        reserve = SpareSet(spares, similarity, partners=partners, stock=Stock(Path(folder) / STOCK), **settings)
        reserve.folder = Path(folder)
        return reserve

    def _partners_of(self, forget: Samples) -> dict[int, int]:
        """The spare set aside for each forgotten sample that has one, by positions."""
        own = [(position, self.partners[i]) for position, i in enumerate(forget.ids) if i in self.partners]
        if not own:
            return {}
        spares = self.spares.positions([spare for _, spare in own]).tolist()
        return {position: spare for (position, _), spare in zip(own, spares, strict=True)}

    def _spent_again(self, missing: Samples, trained: Trained) -> dict[str, str]:
        labels: tuple[Tensor | None, Tensor | None] = None, None
        if not self.across_classes:
            labels = trained.task.labels(missing.targets), trained.task.labels(self.spares.targets)
        return spent_again(missing.ids, self.spares, self.gone, *labels)

    def _open(self) -> Tensor:
        """Which spares are at hand, bool [n]."""
        unspent = torch.ones(len(self.spares), dtype=torch.bool)
        gone = list(self.gone)
        if gone:
            unspent[self.spares.positions(gone)] = False
        return unspent

    def _radius(self, unspent: Tensor, distinct: Samples | None = None) -> float:
        """The distance within which spares are refused, calibrated once for each model."""
        if self.radius is not None:
            return self.radius
        known = self.vectors.metric, distinct is None
        if self._calibrated is None or self._calibrated[0] != known:
            self._calibrated = (
                known,
                self.vectors.radius(unspent)
                if distinct is None
                else self.vectors.radius_among(distinct, int(unspent.sum()) or len(unspent)),
            )
        return self._calibrated[1]


def _where(missing: Samples, trained: Trained) -> str:
    labels = trained.task.labels(missing.targets)
    if labels is None:
        return f"{len(missing)} without a twin"
    counts = Counter(labels.tolist())
    return ", ".join(
        f"class {missing.classes[c] if missing.classes else c} lacks {n}" for c, n in sorted(counts.items())
    )
