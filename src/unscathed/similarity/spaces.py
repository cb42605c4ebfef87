"""Spaces: where samples are compared. A space turns samples into vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from unscathed.problems import BadInputError
from unscathed.samples import Batch, Samples
from unscathed.training import Trained
from unscathed.training.machine import keeping_memory


class Space(Protocol):
    """Turns samples into vectors."""

    of_model: ClassVar[bool]
    """Whether vectors change with the model: then they are made again when it has changed."""

    def vectors(self, samples: Samples, trained: Trained) -> Tensor:
        """One float32 vector a sample, [n, d]; ``trained`` is the model before unlearning."""


@dataclass(frozen=True)
class Raw:
    """The inputs themselves, flattened (prepared as the task prepares them)."""

    of_model: ClassVar[bool] = False

    def vectors(self, samples: Samples, trained: Trained) -> Tensor:
        """Prepared inputs, [n, d]."""
        batch = trained.task.prepare(Batch(samples.inputs, samples.targets))
        return batch.inputs.flatten(1).float()


@dataclass(frozen=True)
class Features:
    """The model's own features (`Task.features`: by default what enters its last linear layer).

    Args:
        layer: the name of another layer, whose output is taken.
    """

    of_model: ClassVar[bool] = True

    layer: str | None = None

    def vectors(self, samples: Samples, trained: Trained) -> Tensor:
        """Features, [n, d].

        Raises:
            BadInputError: the model has no such layer.
        """
        if self.layer is not None:
            trained = replace(trained, task=trained.task.with_features(self.layer))
        return trained.features(samples).float()


@dataclass(frozen=True)
class Encoded:
    """What a frozen encoder from outside makes of the inputs: it knows nothing of this model, nor of its training data.

    Args:
        encoder: a function of prepared inputs, ``[n, ...] -> [n, d]``. A module is taken as it is: put it in evaluation
            mode.
        batch_size: samples a call.
    """

    of_model: ClassVar[bool] = False

    encoder: Callable[[Tensor], Tensor]
    batch_size: int = 256

    def vectors(self, samples: Samples, trained: Trained) -> Tensor:
        """Encodings, [n, d].

        Raises:
            BadInputError: the encoder does not give one vector a sample, or what it gives is not finite.
        """
        parts = []
        with torch.no_grad(), keeping_memory():
            for batch in samples.batches(self.batch_size):
                encoded = self.encoder(trained.task.prepare(batch).inputs)
                if not isinstance(encoded, Tensor) or len(encoded) != len(batch.inputs):
                    given = tuple(encoded.shape) if isinstance(encoded, Tensor) else type(encoded).__name__
                    raise BadInputError(
                        "cannot encode the samples",
                        [f"the encoder gave {given} for {len(batch.inputs)} inputs; it must give one vector each"],
                    )
                parts.append(encoded.flatten(1).float().cpu())
        vectors = torch.cat(parts)
        if not torch.isfinite(vectors).all():
            raise BadInputError("cannot encode the samples", ["the encoder gave values that are not finite"])
        return vectors
