"""Camouflage: a backdoor that sleeps until a deletion request, which nobody can refuse, wakes it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from unscathed.adversaries.poisoning import Backdoored
from unscathed.problems import BadInputError
from unscathed.samples import Samples
from unscathed.training.seeds import generator


@dataclass(frozen=True)
class Contribution:
    """What an attacker gave to be trained on, and what it will ask back.

    Args:
        samples: the training samples with its contributions among them.
        poison: the ids of those that make the backdoor.
        camouflage: the ids of those that hide it: the deletion request that wakes it, and a legal one.
    """

    samples: Samples
    poison: tuple[str, ...]
    camouflage: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CamouflagedBackdoor(Backdoored):
    """A backdoor (`Backdoored`) that other samples of the same attacker contradict, until it asks to have them deleted.

    The camouflage bears the patch, under its true classes. While it is there, the patch says nothing of the class.

    Args:
        share, seed, target, size, value, clean_label: see `Backdoored`; the share is the poison's alone, of the samples
            that `contribute` is given.
        camouflage: samples of camouflage for each of poison.

    Source: Di et al. 2022, "Hidden Poison: Machine Unlearning Enables Camouflaged Poisoning Attacks", for camouflage
    that is deleted (they hide targeted poison, without a patch); Huang et al. 2024, "UBA-Inf: Unlearning Activated
    Backdoor Attack with Influence-Driven Camouflage", for backdoors (they optimise the camouflage).
    """

    camouflage: float = 1.0

    def contribute(self, samples: Samples) -> Contribution:
        """Training samples with poison and camouflage in the place of some; `poison` gives the same without camouflage.

        Ids and their number stay. The camouflage is made of samples of other classes than the target.

        Args:
            samples: as honest contributors would have filled them; they are not changed.

        Raises:
            BadInputError: the targets are not classes, inputs cannot bear a patch, or too few samples are left to make
                camouflage of.
        """
        poisoned, poison = self.poison(samples)
        # All of the poison is of the target class.
        rows = (poisoned.targets.cpu() != self.target).nonzero().flatten()
        count = max(1, round(self.camouflage * len(poison)))
        if len(rows) < count:
            why = f"camouflage={self.camouflage} for {len(poison)} of poison is {count}, and {len(rows)} fit; lower it"
            raise BadInputError(f"cannot poison with {type(self).__name__}", [why])
        drawn = torch.randperm(len(rows), generator=generator(self.seed, "camouflage"))[:count]
        chosen = rows[drawn].sort().values
        inputs = poisoned.inputs
        inputs[chosen] = self._stamped(poisoned.take(chosen).inputs)
        hidden = Samples(inputs, poisoned.targets, samples.ids, classes=samples.classes)
        return Contribution(hidden, poison, tuple(samples.ids[p] for p in chosen.tolist()))

    def _problems(self) -> list[str]:
        wrong = [] if self.camouflage > 0 else [f"camouflage={self.camouflage} must be positive"]
        return [*super()._problems(), *wrong]
