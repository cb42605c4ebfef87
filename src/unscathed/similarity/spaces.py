"""Spaces: where samples are compared. A space turns samples into vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from unscathed.samples import Batch, Samples
from unscathed.training import Trained


class Space(Protocol):
    """Turns samples into vectors."""

    def vectors(self, samples: Samples, trained: Trained) -> Tensor:
        """One float32 vector a sample, [n, d]; ``trained`` is the model before unlearning."""


@dataclass(frozen=True)
class Raw:
    """The inputs themselves, flattened (prepared as the task prepares them)."""

    def vectors(self, samples: Samples, trained: Trained) -> Tensor:
        """Prepared inputs, [n, d]."""
        batch = trained.task.prepare(Batch(samples.inputs, samples.targets))
        return batch.inputs.flatten(1).float()


@dataclass(frozen=True)
class Features:
    """The model's own features (`Task.features`: by default what enters its last linear layer)."""

    def vectors(self, samples: Samples, trained: Trained) -> Tensor:
        """Features, [n, d].

        Raises:
            BadInputError: the model has no such layer.
        """
        return trained.features(samples).float()
