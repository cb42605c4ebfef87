"""Typicality: are these twins like the rest of the data, or poison?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import xlogy
from torch import Tensor

from unscathed.audit.intervals import Difference, unpaired
from unscathed.problems import Problems
from unscathed.reserve.candidates import Candidates
from unscathed.reserve.search import nearest
from unscathed.samples import Samples
from unscathed.similarity import Cosine
from unscathed.training import Trained
from unscathed.training.seeds import derive, generator

NEIGHBOURS = 10
RARE = 1e-3
"""How often twins of a harmless request may look concentrated."""
DRAWS = 10_000
"""Of as many classes from the data's shares, to compare theirs with."""
AGREES = 0.5
"""Share of a typical spare's neighbours that are of its class, at least."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Typicality:
    """How typical twins are of the data, and what each should count in healing.

    Twins of hard samples are hard samples, and twins of one class are of one class: a model healed on them alone
    learns that they are all there is. Twins are compared with the other unspent spares, which the model never saw:
    among retained samples, whose features are memorised, all neighbours agree. Matching takes typical spares first, so
    the fewer are left, the less typical they are themselves, and the less is noticed.

    Args:
        weights: what each twin should count, float [n] in 0…1: the share of its nearest spares that are of its class
            (as a share of what is usual), times, where twins lie in few classes, how much rarer its class is among the
            retained.
        agreement: that share among twins, against the spares'; None where there are no classes.
        concentration: how likely a harmless request's twins would lie in so few classes (a p-value); 1 where there
            are no classes.
        classes: how many twins there are of each class, by class index; empty where there are no classes.
    """

    weights: Tensor
    agreement: Difference | None
    concentration: float
    classes: tuple[int, ...] = ()

    @classmethod
    def of(cls, twins: Samples, *, spares: Samples, before: Trained, retain: Samples | None = None) -> Typicality:
        """Compare twins with the spares that are left.

        Args:
            twins: what the model would be healed on.
            spares: other unspent spares (twins among them are left out).
            before: the model before unlearning, in whose features neighbours are sought.
            retain: the samples that stay, for their class shares; by default the spares and twins together tell.

        Raises:
            BadInputError: there are no twins, or too few spares to compare them with.
        """
        problems = Problems("cannot tell how typical twins are")
        problems.require(len(twins) > 0, "there are no twins")
        others = spares.without(set(twins.ids) & set(spares.ids))
        problems.require(
            len(others) > NEIGHBOURS, f"{len(others)} spares besides the twins are too few to compare them with"
        )
        problems.raise_any()
        labels = before.task.labels(twins.targets)
        if labels is None:
            return cls(weights=torch.ones(len(twins)), agreement=None, concentration=1.0)
        agreement = _agreement(twins + others, before)
        usual = unpaired(agreement[: len(twins)], agreement[len(twins) :])
        weights = (agreement[: len(twins)] / max(usual.reference, 1e-9)).clamp_max(1)
        shares = _shares(retain if retain is not None else twins + others, before, labels)
        counts = torch.bincount(labels, minlength=len(shares)).double()
        concentration = _concentration(counts, shares)
        if concentration < RARE:  # otherwise classes differ as they do by chance, and nothing is wrong with that
            weights = weights * (shares * len(twins) / counts.clamp_min(1)).clamp_max(1)[labels]
        return cls(
            weights=weights.float(),
            agreement=usual,
            concentration=concentration,
            classes=tuple(int(c) for c in counts),
        )

    @property
    def atypical(self) -> bool:
        """Whether twins lie in too few classes, or are of other classes than their neighbours, beyond chance."""
        return self.concentration < RARE or (self.agreement is not None and self.agreement.high < 0)

    @property
    def verdict(self) -> str:
        """In words."""
        if self.agreement is None:
            return "this task has no classes, so nothing is known of how typical these twins are"
        found = []
        if self.concentration < RARE:
            most = max(range(len(self.classes)), key=self.classes.__getitem__)
            share = 100 * self.classes[most] / sum(self.classes)
            found.append(f"{share:.0f} % of them are of class {most} (p = {self.concentration:.1g})")
        if self.agreement.high < 0:
            found.append(
                f"{100 * self.agreement.value:.0f} % of their neighbours are of their class, "
                f"where {100 * self.agreement.reference:.0f} % are usual"
            )
        if not found:
            return "these twins are typical of the data"
        return f"these twins are atypical: {', and '.join(found)}; heal on typical spares as well"


def typical_spares(
    spares: Samples,
    count: int,
    *,
    before: Trained,
    beside: Samples | None = None,
    weights: Tensor | None = None,
    retain: Samples | None = None,
    seed: int = 0,
) -> Samples:
    """Spares that make what a model is healed on typical of the data: in its classes, and not mislabelled.

    They are drawn at random (choosing the likeliest would make the data easier than it is), of each class as many as
    give it, with the twins, its share of the data.

    Args:
        spares: unspent spares (those in ``beside`` are left out).
        count: how many, at most; fewer where there are too few.
        before: the model before unlearning, in whose features neighbours are sought.
        beside: twins that the model is healed on too; None where spares are drawn in their place.
        weights: what each of those counts (`Typicality.weights`), float [n]; by default 1.
        retain: the samples that stay, for their class shares; by default the spares tell.
        seed: which ones.

    Raises:
        BadInputError: there is nothing to draw from, or weights are not one a twin.
    """
    left = spares if beside is None else spares.without(set(beside.ids) & set(spares.ids))
    problems = Problems("cannot draw typical spares")
    problems.require(count > 0, f"count={count} must be positive")
    problems.require(len(left) > 0, "no spares are left; top the reserve up")
    if weights is not None:
        given = 0 if beside is None else len(beside)
        problems.require(len(weights) == given, f"there are {len(weights)} weights for {given} twins; give one each")
    problems.raise_any()
    order = torch.randperm(len(left), generator=generator(seed, "typical spares"))
    labels = before.task.labels(left.targets)
    if labels is None:
        return left.at(order[:count].sort().values)
    # Neighbours are sought among all spares, twins too: what is left may lack the very class that they took.
    among = left if beside is None else left + beside
    agreeing = _agreement(among, before)[: len(left)] >= AGREES
    order = order[agreeing[order]] if bool(agreeing.any()) else order
    there = before.task.labels(beside.targets) if beside is not None else None
    shares = _shares(among if retain is None else retain, before, labels, there)
    have = torch.zeros(len(shares), dtype=torch.double)
    if there is not None:
        own = torch.ones(len(there)) if weights is None else weights
        have.index_add_(0, there, own.double())
    wanted = (shares * (float(have.sum()) + count) - have).clamp_min(0)
    quota = (wanted * (count / max(float(wanted.sum()), 1e-9))).round().long()
    own_labels = labels[order]
    taken = [order[own_labels == c][: int(quota[c])] for c in range(len(shares))]
    return left.at(torch.cat(taken)[:count].sort().values)


def _agreement(samples: Samples, trained: Trained) -> Tensor:
    """Of each sample the share of the nearest others, in the model's features, that are of its class, [n]."""
    vectors = trained.features(samples).float()
    labels = trained.task.labels(samples.targets)
    assert labels is not None
    candidates = Candidates(vectors, Cosine().fit(vectors, labels))
    parts = []
    for start in range(0, len(vectors), 1024):
        own = torch.arange(start, min(start + 1024, len(vectors)))
        found, _ = nearest(candidates.at(own), candidates, NEIGHBOURS + 1)
        # Oneself stands first, or among one's copies, or nowhere where there are many.
        others = (found == own[:, None]).int().argsort(dim=1, stable=True)
        near = found.gather(1, others)[:, :NEIGHBOURS]
        parts.append((labels[near] == labels[own, None]).float().mean(dim=1))
    return torch.cat(parts)


def _shares(samples: Samples, trained: Trained, *present: Tensor | None) -> Tensor:
    """The share of each class among samples, by class index, float64 [c]; as long as any label that is present asks."""
    labels = trained.task.labels(samples.targets)
    assert labels is not None
    highest = max(int(part.max()) for part in (labels, *present) if part is not None and len(part))
    return torch.bincount(labels, minlength=highest + 1).double() / len(labels)


def _concentration(counts: Tensor, shares: Tensor) -> float:
    """How likely draws from these shares are as uneven: the multinomial's likelihood ratio among 10,000 draws."""
    chances = shares[: len(counts)].clamp_min(1e-9).numpy()
    chances = chances / chances.sum()
    count = int(counts.sum())
    draws = np.random.default_rng(derive(0, "concentration")).multinomial(count, chances, size=DRAWS - 1)
    ratios = xlogy(draws, draws / (count * chances)).sum(axis=1)
    own = xlogy(counts.numpy(), counts.numpy() / (count * chances)).sum()
    return float((1 + (ratios >= own - 1e-9).sum()) / DRAWS)
