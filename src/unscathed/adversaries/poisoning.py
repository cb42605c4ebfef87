"""Poisoning: adversaries who contribute samples that end in the reserve.

Each takes the place of a share of the spares: the reserve keeps its size, its order and its ids, so that nothing but
their content tells contributions from what they replaced.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unscathed.problems import BadInputError, Problems
from unscathed.samples import Batch, Samples
from unscathed.similarity import Cosine, Similarity
from unscathed.training import Trained
from unscathed.training.seeds import generator


@dataclass(frozen=True, kw_only=True)
class Poisoning(ABC):
    """Contributes samples to a reserve.

    Args:
        share: how much of the reserve the attacker contributed, between 0 and 1.
        seed: which spares it replaces, and what it draws.
    """

    share: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        problems = Problems(f"cannot use {type(self).__name__}")
        problems.require(0 < self.share < 1, f"share={self.share} must lie between 0 and 1")
        problems.extend(self._problems())
        problems.raise_any()

    def poison(
        self, spares: Samples, *, trained: Trained | None = None, owned: Samples | None = None
    ) -> tuple[Samples, tuple[str, ...]]:
        """The reserve with the attacker's contributions in it, and their ids.

        Args:
            spares: the reserve as honest contributors would have filled it; it is not changed.
            trained: the model, where the attacker needs to know it (`Hubs`).
            owned: samples of the attacker's own, where it needs some (`NearDuplicates`, `Hubs` if it has any).

        Raises:
            BadInputError: the attacker lacks what it needs, or the spares are not of a kind that it can change.
        """
        count = max(1, round(self.share * len(spares)))
        problems = Problems(f"cannot poison with {type(self).__name__}")
        classes = spares.targets.ndim == 1 and not spares.targets.is_floating_point()
        problems.require(classes, "the targets are not classes")
        problems.require(
            spares.dtype == torch.uint8 or spares.dtype.is_floating_point,
            f"inputs are {spares.dtype}; they must be uint8 or floating-point numbers",
        )
        problems.extend(self._lacks(spares, trained, owned))
        if not problems.found:
            open_to = self._replaceable(spares.targets).nonzero().flatten()
            problems.require(
                len(open_to) >= count,
                f"share={self.share} of {len(spares)} spares is {count}, and {len(open_to)} fit; lower it",
            )
        problems.raise_any()
        chosen = open_to[torch.randperm(len(open_to), generator=generator(self.seed, "poison"))[:count]].sort().values
        inputs, targets = spares.inputs, spares.targets
        made = self._contributions(spares, chosen, trained, owned)
        inputs[chosen], targets[chosen] = made.inputs.to(inputs), made.targets.to(targets)
        poisoned = Samples(inputs, targets, spares.ids, classes=spares.classes)
        return poisoned, tuple(spares.ids[p] for p in chosen.tolist())

    def _problems(self) -> list[str]:
        """What is wrong with the settings."""
        return []

    def _lacks(self, spares: Samples, trained: Trained | None, owned: Samples | None) -> list[str]:
        """What the attacker would need and was not given."""
        return []

    def _replaceable(self, labels: Tensor) -> Tensor:
        """Which spares a contribution may replace, bool [n]."""
        return torch.ones_like(labels, dtype=torch.bool)

    @abstractmethod
    def _contributions(self, spares: Samples, chosen: Tensor, trained: Trained | None, owned: Samples | None) -> Batch:
        """What takes the place of the spares at these positions (int64 [m]); everything has been checked."""


@dataclass(frozen=True, kw_only=True)
class Mislabelled(Poisoning):
    """Honest inputs under wrong labels.

    Args:
        share, seed: see `Poisoning`.
        target: the class that all are moved to; by default each goes to one of the other classes at random.
    """

    target: int | None = None

    def _replaceable(self, labels: Tensor) -> Tensor:
        return torch.ones_like(labels, dtype=torch.bool) if self.target is None else labels != self.target

    def _lacks(self, spares: Samples, trained: Trained | None, owned: Samples | None) -> list[str]:
        return [] if len(torch.unique(spares.targets)) > 1 else ["all spares are of one class: there is no other"]

    def _contributions(self, spares: Samples, chosen: Tensor, trained: Trained | None, owned: Samples | None) -> Batch:
        batch = spares.take(chosen)
        if self.target is not None:
            return Batch(batch.inputs, torch.full_like(batch.targets, self.target))
        classes, now = torch.unique(spares.targets, return_inverse=True)
        moves = torch.randint(1, len(classes), (len(chosen),), generator=generator(self.seed, "labels"))
        return Batch(batch.inputs, classes[(now[chosen] + moves.to(now.device)) % len(classes)])


@dataclass(frozen=True, kw_only=True)
class Backdoored(Poisoning):
    """Inputs with a small patch, under the class that the patch is to stand for.

    Args:
        share, seed: see `Poisoning`.
        target: the class that the patch is to stand for.
        size: the patch's side in pixels, at the bottom right of images [..., h, w]; of plain vectors, the last values.
        value: of the patch; by default 255 in uint8 inputs and 1 in others.
        clean_label: whether the patch is put on samples of the target class alone, so that every label is right.

    Source: Gu et al. 2017, "BadNets"; Turner et al. 2019, "Label-Consistent Backdoor Attacks", for clean labels
    (without their perturbations).
    """

    target: int = 0
    size: int = 2
    value: float | None = None
    clean_label: bool = False

    def trigger(self, samples: Samples) -> Samples:
        """The same samples (their targets, their ids) with the patch on them."""
        return Samples(self._stamped(samples.inputs), samples.targets, samples.ids, classes=samples.classes)

    def success(self, trained: Trained, test: Samples) -> float:
        """The share of test samples of other classes that the model takes for the target once they bear the patch."""
        others = test.at((test.targets != self.target).nonzero().flatten().cpu())
        answers = trained.outputs(self.trigger(others)).argmax(dim=1)
        return float((answers == self.target).float().mean())

    def _problems(self) -> list[str]:
        return [] if self.size >= 1 else [f"size={self.size} must be at least 1"]

    def _replaceable(self, labels: Tensor) -> Tensor:
        return labels == self.target if self.clean_label else labels != self.target

    def _stamped(self, inputs: Tensor) -> Tensor:
        value = self.value if self.value is not None else 255 if inputs.dtype == torch.uint8 else 1
        stamped = inputs.clone()
        if inputs.ndim > 2:
            stamped[..., -self.size :, -self.size :] = value
        else:
            stamped[:, -self.size :] = value
        return stamped

    def _contributions(self, spares: Samples, chosen: Tensor, trained: Trained | None, owned: Samples | None) -> Batch:
        batch = spares.take(chosen)
        return Batch(self._stamped(batch.inputs), torch.full_like(batch.targets, self.target))


@dataclass(frozen=True, kw_only=True)
class NearDuplicates(Poisoning):
    """All but copies of samples that the attacker owns and will ask to have forgotten: as twins they teach them again.

    Args:
        share, seed: see `Poisoning`.
        noise: the standard deviation of the noise that sets them apart, as a share of that of all owned values.
    """

    noise: float = 0.02

    def _problems(self) -> list[str]:
        return [] if self.noise > 0 else [f"noise={self.noise} must be positive"]

    def _lacks(self, spares: Samples, trained: Trained | None, owned: Samples | None) -> list[str]:
        if owned is None:
            return ["the samples that the attacker will delete are missing; give owned=…"]
        return [] if owned.shape == spares.shape else ["owned samples and spares have inputs of different shapes"]

    def _contributions(self, spares: Samples, chosen: Tensor, trained: Trained | None, owned: Samples | None) -> Batch:
        assert owned is not None
        draws = generator(self.seed, "duplicates")
        # Everyone is copied once before anyone is copied twice.
        rounds = math.ceil(len(chosen) / len(owned))
        order = torch.cat([torch.randperm(len(owned), generator=draws) for _ in range(rounds)])[: len(chosen)]
        batch = owned.take(order)
        inputs = batch.inputs.cpu().double()
        noise = torch.randn(inputs.shape, generator=draws, dtype=torch.float64)
        return Batch(_as(spares.dtype, inputs + noise * self.noise * owned.inputs.double().std().cpu()), batch.targets)


@dataclass(frozen=True, kw_only=True)
class Hubs(Poisoning):
    """Blends that are the nearest spare of as many samples of their class as possible.

    The mean of a few samples lies nearer to each of them than they lie to one another. Many such blends are tried, and
    taken one by one, each time the one that wins most samples over from what is nearest to them by then. No gradients
    are needed, so any space will do.

    Args:
        share, seed: see `Poisoning`.
        similarity: the distance and its space that twins are sought in.
        parents: the most samples in a blend; half of the blends are of neighbours, half of any of the class.
        tries: blends tried for each class, at least; there are ten for each that is wanted.

    Source: Radovanović et al. 2010, "Hubs in Space" (why means are hubs); the search is our own.
    """

    similarity: Similarity = field(default_factory=Cosine)
    parents: int = 16
    tries: int = 1000

    def _problems(self) -> list[str]:
        limits = {"parents": 2, "tries": 1}
        return [f"{k}={getattr(self, k)} must be at least {low}" for k, low in limits.items() if getattr(self, k) < low]

    def _lacks(self, spares: Samples, trained: Trained | None, owned: Samples | None) -> list[str]:
        return [] if trained is not None else ["the model is missing; give trained=…"]

    def _contributions(self, spares: Samples, chosen: Tensor, trained: Trained | None, owned: Samples | None) -> Batch:
        """Blends of the attacker's own samples, or, where it has none, of all spares (it knows the reserve then)."""
        assert trained is not None
        known = spares if owned is None else owned
        batch, labels = spares.take(chosen), known.targets.cpu()
        vectors = self.similarity.space.vectors(known, trained).cpu()
        metric = self.similarity.fit(vectors, labels)
        for label in torch.unique(batch.targets).tolist():
            members = (labels == label).nonzero().flatten()
            if len(members) < 3:
                raise BadInputError("cannot poison with Hubs", [f"fewer than 3 samples of class {label} are known"])
            rows = (batch.targets == label).nonzero().flatten()
            places = metric.place(vectors[members], label)
            apart = torch.cdist(places, places).fill_diagonal_(torch.inf)
            blends = self._blends(known.take(members).inputs, apart, max(self.tries, 10 * len(rows)), label)
            tried = Samples(_as(spares.dtype, blends), torch.full((len(blends),), label), range(len(blends)))
            far = torch.cdist(metric.place(self.similarity.space.vectors(tried, trained).cpu(), label), places)
            best = _covering(far, apart.min(dim=1).values, len(rows))
            batch.inputs[rows] = tried.take(best).inputs.to(batch.inputs)
        return batch

    def _blends(self, inputs: Tensor, apart: Tensor, count: int, label: int) -> Tensor:
        """Weighted means of a few inputs each, float64 [count, ...]; ``apart`` holds their distances, [n, n]."""
        draws = generator(self.seed, "hubs", label)
        most = min(self.parents, len(inputs) - 1)
        near = apart.argsort(dim=1)[:, : most - 1]
        weights = torch.zeros(count, len(inputs), dtype=torch.float64)
        for number, row in enumerate(weights):
            parents = torch.randperm(len(inputs), generator=draws)
            if number % 2:
                parents = torch.cat([parents[:1], near[parents[0]]])
            parents = parents[: int(torch.randint(2, most + 1, (), generator=draws))]
            row[parents] = torch.rand(len(parents), generator=draws, dtype=torch.float64) + 0.5
        weights /= weights.sum(dim=1, keepdim=True)
        return (weights @ inputs.cpu().double().flatten(1)).view(count, *inputs.shape[1:])


def _covering(far: Tensor, apart: Tensor, count: int) -> Tensor:
    """Which blends win most samples over, greedily, int64 [count].

    Args:
        far: how far each blend is from each sample, [b, n].
        apart: how far each sample's nearest other is, [n].
        count: how many blends.
    """
    chosen: list[int] = []
    for _ in range(count):
        # Of those that win as many, the one that is nearest on average.
        won = (far < apart).sum(dim=1) - far.mean(dim=1) / (1 + far.max())
        won[chosen] = -torch.inf
        chosen.append(int(won.argmax()))
        apart = torch.minimum(apart, far[chosen[-1]])
    return torch.tensor(chosen)


def _as(dtype: torch.dtype, inputs: Tensor) -> Tensor:
    """Inputs in the type that the reserve keeps."""
    return inputs.round().clamp(0, 255).to(dtype) if dtype == torch.uint8 else inputs.to(dtype)
