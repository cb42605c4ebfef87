"""Blind adversaries: they know no model."""

from __future__ import annotations

import torch

from unscathed.adversaries.base import Adversary
from unscathed.adversaries.views import BlindView
from unscathed.problems import BadInputError


class Random(Adversary[BlindView]):
    """Asks for samples at random: the harmless requester that every attack is compared with.

    Args:
        budget: see `Adversary`.
        seed: which samples.
    """

    def __init__(self, budget: float | int = 0.05, *, seed: int = 0) -> None:
        super().__init__(budget)
        self.seed = seed

    def __repr__(self) -> str:
        return f"Random(budget={self.budget}, seed={self.seed})"

    def _choose(self, view: BlindView, count: int) -> tuple[str, ...]:
        order = torch.randperm(len(view.samples), generator=torch.Generator().manual_seed(self.seed))[:count]
        return tuple(view.samples.ids[p] for p in order.tolist())


class OneClass(Adversary[BlindView]):
    """Concentrates on one class, so that the model loses what it knows of it. It knows its samples' classes.

    Where the budget exceeds the class, what is left over goes to the next class.

    Args:
        budget: see `Adversary`.
        target: the class index to begin with; by default the seed picks one.
        seed: which class, and which of its samples.
    """

    def __init__(self, budget: float | int = 0.05, *, target: int | None = None, seed: int = 0) -> None:
        super().__init__(budget)
        self.target = target
        self.seed = seed

    def __repr__(self) -> str:
        return f"OneClass(budget={self.budget}, target={self.target}, seed={self.seed})"

    def _choose(self, view: BlindView, count: int) -> tuple[str, ...]:
        targets = view.samples.targets
        if targets.ndim != 1 or targets.is_floating_point():
            raise BadInputError("cannot attack with OneClass", ["the targets are not classes"])
        classes = torch.unique(targets)
        generator = torch.Generator().manual_seed(self.seed)
        if self.target is None:
            first = int(torch.randint(len(classes), (), generator=generator))
        elif self.target in classes.tolist():
            first = classes.tolist().index(self.target)
        else:
            raise BadInputError("cannot attack with OneClass", [f"no sample is of class {self.target}"])
        rank = (targets - classes[first]) % (int(classes.max()) + 1)
        shuffled = torch.randperm(len(targets), generator=generator)
        order = shuffled[torch.argsort(rank[shuffled], stable=True)][:count]
        return tuple(view.samples.ids[p] for p in order.tolist())
