"""The reserve: spares held back before training, of which each may stand in for one forgotten sample, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from unscathed.problems import Problems, UnscathedError, some
from unscathed.reserve.matching import NONE_LEFT, nearest_once
from unscathed.samples import Samples
from unscathed.similarity import Cosine, Similarity
from unscathed.training import Trained


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
            "Heal with what is left (shortfall='partial'), hold back a larger reserve, or heal without twins"
        )

    def __reduce__(self) -> tuple[type[ReserveExhaustedError], tuple[int, int, str]]:
        return ReserveExhaustedError, (self.asked, self.left, self.detail)


@dataclass(frozen=True)
class Twins:
    """Which spare stands in for which forgotten sample.

    Args:
        spare_of: the spare's id for each forgotten id that has one.
        distances: how far apart the two are.
        samples: the spares.
        missing: forgotten ids for which no spare was left.
    """

    spare_of: Mapping[str, str]
    distances: Mapping[str, float]
    samples: Samples | None
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.spare_of)


class SpareSet:
    """A general spare set: samples held back before training, never trained on until one is spent as a twin.

    Matching does not change the set; `spend` does, once and for all: it is a stock, not a value.

    Args:
        spares: the samples held back.
        similarity: what makes a spare a twin; by default cosine distance of the model's features.
        shortfall: what `match` does where spares of a class run out: ``"error"``, or ``"partial"``, which
            leaves the last ones asked for without a twin.
    """

    def __init__(
        self,
        spares: Samples,
        similarity: Similarity | None = None,
        *,
        shortfall: Literal["error", "partial"] = "error",
    ) -> None:
        problems = Problems("cannot use this reserve")
        problems.require(len(spares) > 0, "it holds no spares")
        problems.require(shortfall in ("error", "partial"), f"shortfall={shortfall!r} must be 'error' or 'partial'")
        problems.raise_any()
        self.spares = spares
        self.similarity = similarity or Cosine()
        self.shortfall = shortfall
        self._spent: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self.spares) - len(self._spent)

    def __repr__(self) -> str:
        return f"SpareSet({len(self)} of {len(self.spares)} unspent, {self.similarity!r})"

    @property
    def spent(self) -> tuple[str, ...]:
        """The ids of spares that were spent, in that order."""
        return tuple(self._spent)

    @property
    def unspent(self) -> Samples:
        """The spares that are left: the model has never seen them."""
        return self.spares.without(self._spent)

    def match(self, forget: Samples, trained: Trained) -> Twins:
        """Find each forgotten sample's nearest unspent spare, of its class where the task has classes.

        In the order of ``forget``, each takes the nearest that is left (the paper's ``z* = argmin d(z, z')``).

        Args:
            forget: the forgotten samples.
            trained: the model before unlearning, whose features are compared (a damaged model's say little).

        Raises:
            ReserveExhaustedError: spares of a class run out, unless ``shortfall="partial"``.
        """
        # A spare with the very content of a forgotten sample would teach it again.
        copies = self.unspent.copies_of(forget)
        unspent = self.unspent.without({spare for found in copies.values() for spare in found})
        spare_of: dict[str, str] = {}
        distances: dict[str, float] = {}
        if len(unspent):
            queries = self.similarity.embed(forget, trained)
            candidates = self.similarity.embed(unspent, trained)
            for ours, theirs in _by_class(forget, unspent, trained):
                match, distance = nearest_once(self.similarity, queries[ours], candidates[theirs])
                for row in (match != NONE_LEFT).nonzero().flatten().tolist():
                    sample = forget.ids[int(ours[row])]
                    spare_of[sample] = unspent.ids[int(theirs[match[row]])]
                    distances[sample] = float(distance[row])
        missing = tuple(i for i in forget.ids if i not in spare_of)
        if missing and self.shortfall == "error":
            raise ReserveExhaustedError(len(forget), len(spare_of), _where(forget.only(missing), trained))
        in_order = {i: spare_of[i] for i in forget.ids if i in spare_of}
        samples = self.spares.only(in_order.values()) if in_order else None
        return Twins(in_order, distances, samples, missing)

    def spend(self, twins: Twins | Iterable[str]) -> None:
        """Mark spares as spent: they are training data now.

        Raises:
            BadInputError: some were spent before, or are no spares of this reserve; then none is spent now.
        """
        ids = list(twins.spare_of.values() if isinstance(twins, Twins) else twins)
        problems = Problems("cannot spend")
        problems.extend(self.spares.problems_with(ids))
        again = [i for i in ids if i in self._spent]
        problems.require(not again, f"{len(again)} spares were spent before ({some(again)}); match again")
        problems.raise_any()
        self._spent.update(dict.fromkeys(ids))


def _by_class(forget: Samples, spares: Samples, trained: Trained) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Positions of the forgotten and of the spares, class by class (all together where there are no classes)."""
    labels = trained.task.labels(forget.targets)
    spare_labels = trained.task.labels(spares.targets)
    if labels is None or spare_labels is None:
        return [(torch.arange(len(forget)), torch.arange(len(spares)))]
    return [
        ((labels == c).nonzero().flatten(), (spare_labels == c).nonzero().flatten())
        for c in torch.unique(labels).tolist()
    ]


def _where(missing: Samples, trained: Trained) -> str:
    labels = trained.task.labels(missing.targets)
    if labels is None:
        return f"{len(missing)} without a twin"
    counts = Counter(labels.tolist())
    return ", ".join(
        f"class {missing.classes[c] if missing.classes else c} lacks {n}" for c, n in sorted(counts.items())
    )
