"""How far a candidate model drifts from the original on retained samples: what keeps cheap unlearning safe."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from unscathed.curvature import ModelFunction
from unscathed.curvature.functional import Parameters
from unscathed.samples import Batch, Samples
from unscathed.training import Trained
from unscathed.training.seeds import generator


class Drift:
    """The mean divergence of candidates from the original, on some retained samples (`Task.divergences`; KL, nats).

    Args:
        function: the original.
        retain: the retained samples; at most ``most`` of them are looked at.
        seed: which of them.
        most: the number of samples to look at.
    """

    def __init__(self, function: ModelFunction, retain: Samples, seed: int, most: int = 2048) -> None:
        chosen = torch.randperm(len(retain), generator=generator(seed, "drift"))[:most]
        self.function = function
        self._samples = retain.only([retain.ids[p] for p in chosen.tolist()])
        with torch.no_grad():
            self._reference = [function.outputs(function.parameters, b) for b in self._batches()]

    def __call__(self, parameters: Parameters) -> float:
        """The mean divergence with these parameters; infinite where outputs are not finite."""
        total = 0.0
        parameters = {name: self._laid_out(weight) for name, weight in parameters.items()}
        with torch.no_grad():
            for reference, batch in zip(self._reference, self._batches(), strict=True):
                outputs = self.function.outputs(parameters, batch)
                total += float(self.function.task.divergences(reference, outputs, batch).sum())
        mean = total / len(self._samples)
        return mean if mean == mean else float("inf")

    def of(self, candidate: Trained) -> float:
        """The mean divergence of a candidate, with the statistics that its norms have by now."""
        device = self.function.machine.device
        return self({name: weight.to(device) for name, weight in candidate.weights.items()})

    def _laid_out(self, weight: Tensor) -> Tensor:
        """A weight in the memory layout of the inputs, which convolutions take half the time in."""
        return weight.contiguous(memory_format=self.function.machine.memory_format) if weight.ndim == 4 else weight

    def _batches(self) -> Iterator[Batch]:
        return self.function.batches(self._samples, 512)
