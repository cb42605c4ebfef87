"""Siamese similarity: a distance that is learned from pairs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from unscathed.problems import Problems
from unscathed.similarity.distances import Metric
from unscathed.similarity.spaces import Features, Space
from unscathed.training.seeds import generator, seeded

Pairs = Literal["class", "self"]
FEWEST = 8
"""Vectors, below which number there is nothing to learn from."""
BATCH = 128
POOL = 1024
"""Vectors, drawn anew at each step, among which hard negatives are sought: so a step costs the same however many."""
LEARNING_RATE = 2e-3
FLOOR = 0.1
"""Least deviation that vectors are scaled by, as a share of their mean one: what hardly varies is not blown up."""


@dataclass(frozen=True)
class Siamese:
    """The cosine distance of what a small network makes of vectors, trained so that positive pairs lie nearer than all
    other pairs.

    At each step, anchors a meet one positive p each, and the positives and hard negatives N of all anchors:
    ``-log exp(a·p / τ) / (exp(a·p / τ) + Σ_N exp(a·n / τ))``, all on the unit sphere.

    Args:
        space: where samples are compared; its vectors enter the network, standardised.
        pairs: which pairs are positive. ``"class"``: two vectors of a class (needs labels); differences within a class
            fade, which serves to find twins across classes. ``"self"``: two distorted copies of one vector; all others
            are negatives, those of its class the hardest, so that differences within a class stay.
        width: of the network's output; its hidden layer is twice as wide.
        steps: training steps, of up to 128 anchors each.
        temperature: τ; the lower, the more the nearest negatives count.
        hard_negatives: the nearest negatives that each anchor brings to a step, out of up to 1,024 vectors.
        distortion: of the copies that ``pairs="self"`` trains on: the deviation of noise, in standard deviations, and
            the share of entries that are set to their mean.
        seed: of initial weights, batches and distortions.

    Source: Bromley et al. 1993, "Signature verification using a Siamese time delay neural network", for the network;
    Sohn 2016, "Improved deep metric learning with multi-class N-pair loss objective", with a temperature, for the loss;
    Gao et al. 2021, "SimCSE", sections 3 and 4, for pairs of distorted copies and for hard negatives beside them.
    """

    space: Space = field(default_factory=Features)
    pairs: Pairs = "self"
    width: int = 64
    steps: int = 300
    temperature: float = 0.1
    hard_negatives: int = 1
    distortion: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        problems = Problems("cannot use Siamese")
        kinds = get_args(Pairs)
        problems.require(self.pairs in kinds, f"pairs={self.pairs!r} must be one of {', '.join(map(repr, kinds))}")
        for name, least in (("width", 2), ("steps", 1), ("hard_negatives", 0)):
            value = getattr(self, name)
            problems.require(
                isinstance(value, int) and value >= least, f"{name}={value} must be a whole number of at least {least}"
            )
        problems.require(0 < self.temperature < float("inf"), f"temperature={self.temperature} must be positive")
        problems.require(0 <= self.distortion < 1, f"distortion={self.distortion} must lie in 0…1, below 1")
        problems.raise_any()

    def fit(self, vectors: Tensor, labels: Tensor | None) -> Metric:
        """Train the network. Torch's global random state stays as it was.

        Raises:
            BadInputError: vectors are few or do not vary, or ``pairs="class"`` and there are not two classes.
        """
        self._check(vectors, labels)
        scale = Scale.of(vectors)
        with seeded(self.seed, "siamese", "weights"):
            network = nn.Sequential(
                nn.Linear(vectors.shape[1], 2 * self.width), nn.ReLU(), nn.Linear(2 * self.width, self.width)
            ).to(vectors.device)
        groups = labels if self.pairs == "class" and labels is not None else torch.arange(len(vectors))
        classes = labels if self.pairs == "self" else None
        pairs = _Pairs(groups.to(vectors.device), None if classes is None else classes.to(vectors.device))
        self._train(network, scale(vectors), pairs)
        return Embedded(scale, network)

    def _check(self, vectors: Tensor, labels: Tensor | None) -> None:
        problems = Problems("cannot fit Siamese")
        problems.require(
            len(vectors) >= FEWEST,
            f"{len(vectors)} vectors are too few to learn from; hold at least {FEWEST} spares back, or use Cosine",
        )
        if len(vectors):
            varies = bool((vectors.amax(dim=0) > vectors.amin(dim=0)).any())
            problems.require(varies, "the spares' vectors do not vary at all; use another space, or Cosine")
        if self.pairs == "class" and problems.require(
            labels is not None, "pairs='class' needs classes, and this task has none; use pairs='self'"
        ):
            assert labels is not None
            problems.require(
                len(torch.unique(labels)) > 1, "pairs='class' needs two classes, and there is one; use pairs='self'"
            )
        problems.raise_any()

    def _train(self, network: nn.Module, vectors: Tensor, pairs: _Pairs) -> None:
        random = generator(self.seed, "siamese", "pairs")
        optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
        device = vectors.device

        def drawn(count: int) -> Tensor:
            return torch.randperm(len(vectors), generator=random)[:count].to(device)

        def embedded(rows: Tensor) -> Tensor:
            entering = vectors[rows]
            if self.pairs == "self":
                entering = distorted(entering, self.distortion, random)
            return functional.normalize(network(entering), dim=1)

        with torch.enable_grad():
            for _ in range(self.steps):
                anchors = drawn(BATCH)
                positives = pairs.positives(anchors, random)
                asked, pool = embedded(anchors), drawn(POOL)
                with torch.no_grad():
                    near = asked @ functional.normalize(network(vectors[pool]), dim=1).T
                met = torch.cat([positives, pool[pairs.hardest(near, anchors, pool, self.hard_negatives)]])
                loss = contrast(asked, embedded(met), pairs.common(anchors, met), self.temperature)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()


def distorted(vectors: Tensor, distortion: float, random: torch.Generator) -> Tensor:
    """Standardised vectors with noise of this deviation, and this share of their entries at zero, the mean."""
    noise = torch.randn(vectors.shape, generator=random).to(vectors.device)
    kept = torch.rand(vectors.shape, generator=random).to(vectors.device) >= distortion
    return (vectors + distortion * noise) * kept


def contrast(anchors: Tensor, met: Tensor, common: Tensor, temperature: float) -> Tensor:
    """The mean over anchors of ``-log exp(a·p / τ) / (exp(a·p / τ) + Σ_N exp(a·n / τ))``.

    Args:
        anchors: of unit length, float32 [a, e].
        met: of unit length, float32 [m, e]: the anchors' positives in their order, then hard negatives.
        common: who of the met is of an anchor's group, bool [a, m]: of these only its own positive counts.
        temperature: τ.
    """
    others = common.clone().fill_diagonal_(False)
    logits = (anchors @ met.T / temperature).masked_fill(others, -torch.inf)
    return functional.cross_entropy(logits, torch.arange(len(anchors), device=anchors.device))


class Embedded:
    """Places are the network's outputs, of unit length, where ``‖a - b‖² = 2 (1 - cos)``.

    Args:
        scale: what vectors enter the network after.
        network: trained.
    """

    unit = True

    def __init__(self, scale: Scale, network: nn.Module) -> None:
        self._scale = scale
        self._network = network

    def place(self, vectors: Tensor, label: int | None = None) -> Tensor:
        """The network's outputs, float32 [n, width]."""
        with torch.no_grad():
            places = self._network(self._scale(vectors.to(self._scale.mean.device)))
        return functional.normalize(places, dim=1).to(vectors.device)

    def distance(self, squared: Tensor) -> Tensor:
        """One less the cosine."""
        return squared / 2


@dataclass(frozen=True, eq=False)
class Scale:
    """Subtracts the mean of each entry and divides by its standard deviation.

    Args:
        mean: float32 [d].
        deviation: float32 [d].
    """

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> Scale:
        """That of some vectors, [n, d]."""
        deviation, mean = torch.std_mean(vectors.float(), dim=0)
        return cls(mean, deviation.clamp_min(FLOOR * deviation.square().mean().sqrt()))

    def __call__(self, vectors: Tensor) -> Tensor:
        """Scaled vectors, float32 [n, d]."""
        return (vectors.float() - self.mean) / self.deviation


class _Pairs:
    """Who is whose positive: those of a group are. Where there are no classes to pair by, each is a group of its own.

    Args:
        groups: int64 [n].
        classes: within which hard negatives are sought, int64 [n]; None: among all.
    """

    def __init__(self, groups: Tensor, classes: Tensor | None) -> None:
        self._groups = groups
        self._classes = classes
        self._order = torch.argsort(groups, stable=True)
        _, self._group, self._sizes = torch.unique(groups, return_inverse=True, return_counts=True)
        self._first = self._sizes.cumsum(0) - self._sizes

    def positives(self, anchors: Tensor, random: torch.Generator) -> Tensor:
        """One of each anchor's group, drawn at random (it may be the anchor), int64 [a]."""
        group = self._group[anchors]
        share = torch.rand(len(anchors), generator=random).to(anchors.device)
        return self._order[self._first[group] + (share * self._sizes[group]).long()]

    def common(self, anchors: Tensor, others: Tensor) -> Tensor:
        """Whether they are of one group, bool [a, o]."""
        return self._groups[anchors][:, None] == self._groups[others]

    def hardest(self, near: Tensor, anchors: Tensor, pool: Tensor, count: int) -> Tensor:
        """The nearest negatives of each anchor in a pool, as positions there, int64 [h].

        Args:
            near: how near they are, [a, p].
            anchors: int64 [a].
            pool: int64 [p].
            count: how many for each anchor.
        """
        open_to = ~self.common(anchors, pool)
        if self._classes is not None:
            open_to &= self._classes[anchors][:, None] == self._classes[pool]
        best, where = near.masked_fill(~open_to, -torch.inf).topk(min(count, len(pool)))
        return where[best > -torch.inf]
