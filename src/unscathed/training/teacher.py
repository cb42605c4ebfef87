"""Teacher: a model that is asked for its answers to whatever another is being shown."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unscathed.samples import Batch
from unscathed.training.machine import full_precision
from unscathed.training.trained import Trained


class Teacher:
    """A model whose answers a student is held to, or driven away from."""

    def __init__(self, trained: Trained) -> None:
        self.task, self.machine, self.model = trained.task, trained.machine, trained.model()

    def divergences(self, outputs: Any, batch: Batch) -> Tensor:
        """How far a student's outputs for a batch are from the teacher's (`Task.divergences`), [n], nats."""
        with torch.no_grad(), self.machine.computing():
            reference = self.task.outputs(self.model, batch)
        return self.task.divergences(full_precision(reference), outputs, batch)
