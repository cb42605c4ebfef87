"""The diagonal of the Fisher information, from exact per-sample gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import grad, vmap

from unscathed.curvature.functional import ModelFunction, Parameters
from unscathed.samples import Batch, Samples
from unscathed.training import Callback


def fisher_diagonal(
    function: ModelFunction, samples: Samples, *, chunk: int = 32, callbacks: Sequence[Callback] = ()
) -> Tensor:
    """The diagonal of the empirical Fisher information, ``F = 1/n Σ_i (∇ℓ_i)²``, as a vector [p].

    The squares are of each sample's own gradient; the square of a batch's mean gradient is something else,
    smaller by about the batch size.

    Args:
        function: the model.
        samples: the samples i, with their own targets.
        chunk: samples whose gradients are held at once; 32 was fastest on two CPU cores (docs/performance.md).
        callbacks: progress, one step a chunk.

    Source: Golatkar et al. 2020, "Eternal Sunshine of the Spotless Net", section 5 (their ``F``).
    """

    def loss(parameters: Parameters, inputs: Tensor, target: Tensor) -> Tensor:
        return function.losses(parameters, Batch(inputs[None], target[None]))[0]

    per_sample = vmap(grad(loss), in_dims=(None, 0, 0), randomness="error")
    total = torch.zeros_like(function.flatten(function.parameters))
    for callback in callbacks:
        callback.on_start("Fisher information", -(-len(samples) // chunk))
    try:
        for step, batch in enumerate(function.batches(samples, chunk), start=1):
            gradients = per_sample(function.parameters, batch.inputs, batch.targets)
            total += function.flatten({name: g.square().sum(dim=0) for name, g in gradients.items()})
            for callback in callbacks:
                callback.on_step(step)
    finally:
        for callback in callbacks:
            callback.on_end()
    return total / len(samples)
