"""The diagonal of the Fisher information, from exact per-sample gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import grad, vmap

from unscathed.curvature.functional import ModelFunction, Parameters
from unscathed.curvature.squares import SquaredGradients
from unscathed.samples import Batch, Samples
from unscathed.training import Callback


def fisher_diagonal(
    function: ModelFunction, samples: Samples, *, chunk: int = 32, callbacks: Sequence[Callback] = ()
) -> Tensor:
    """The diagonal of the empirical Fisher information, ``F = 1/n Σ_i (∇ℓ_i)²``, as a vector [p].

    The squares are of each sample's own gradient; the square of a batch's mean gradient is something else,
    smaller by about the batch size. Linear, convolution and batch normalisation layers that run once have rules
    of their own (`SquaredGradients`); any other model is differentiated sample by sample with `torch.func.vmap`.

    Args:
        function: the model.
        samples: the samples i, with their own targets.
        chunk: samples that are gone through at once.
        callbacks: progress, one step a chunk.

    Source: Golatkar et al. 2020, "Eternal Sunshine of the Spotless Net", section 5 (their ``F``).
    """
    total = torch.zeros_like(function.flatten(function.parameters))
    squares = by_rules(function) if SquaredGradients.suits(function) else by_vmap(function)
    for callback in callbacks:
        callback.on_start("Fisher information", -(-len(samples) // chunk))
    try:
        for step, batch in enumerate(function.batches(samples, chunk), start=1):
            found = squares(batch)
            if found is None:
                squares = by_vmap(function)
                found = squares(batch)
            assert found is not None
            total += found
            for callback in callbacks:
                callback.on_step(step)
    finally:
        for callback in callbacks:
            callback.on_end()
    return total / len(samples)


def by_rules(function: ModelFunction) -> Callable[[Batch], Tensor | None]:
    """Squares of per-sample gradients, summed over a batch, by layer rules; None where they do not hold."""
    return SquaredGradients(function).of


def by_vmap(function: ModelFunction) -> Callable[[Batch], Tensor | None]:
    """The same for any model: each sample's gradient is made, and squared."""

    def loss(parameters: Parameters, inputs: Tensor, target: Tensor) -> Tensor:
        return function.losses(parameters, Batch(inputs[None], target[None]))[0]

    per_sample = vmap(grad(loss), in_dims=(None, 0, 0), randomness="error")

    def squares(batch: Batch) -> Tensor:
        gradients = per_sample(function.parameters, batch.inputs, batch.targets)
        return function.flatten({name: g.square().sum(dim=0) for name, g in gradients.items()})

    return squares
