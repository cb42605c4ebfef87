"""The diagonal of the Fisher information, from exact per-sample gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from unscathed.curvature.functional import ModelFunction
from unscathed.curvature.squares import SquaredGradients
from unscathed.problems import BadInputError
from unscathed.samples import Batch, Samples
from unscathed.training import Callback

Information = Literal["empirical", "true"]
Squares = Callable[[Batch], Tensor | None]
"""``Σ_i (∇ℓ_i)²`` over a batch, as a vector [p]; None where it cannot be had this way."""


def fisher_diagonal(
    function: ModelFunction,
    samples: Samples,
    information: Information = "empirical",
    *,
    chunk: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> Tensor:
    """The diagonal of the Fisher information, ``F = 1/n Σ_i (∇ℓ_i)²``, as a vector [p].

    The squares are of each sample's own gradient; the square of a batch's mean gradient is something else,
    smaller by about the batch size. Common layers have rules of their own (`SquaredGradients`: linear, embedding,
    convolution, normalisation and self-attention, shared weights included); a model with any other layer is
    differentiated sample by sample with `torch.func.vmap`, with a warning, since that is slower.

    Args:
        function: the model.
        samples: the samples i.
        information: ``"empirical"``: of each sample's own target; ``"true"``: the mean over the targets that the model
            itself finds possible, by their probability (`Task.answers`), whatever the sample's own is.
        chunk: samples that are gone through at once; by default the model's batch size, or 32 by vmap.
        callbacks: progress, one step a chunk.

    Raises:
        BadInputError: the true information of a task that cannot name its answers.

    Source: Golatkar et al. 2020, "Eternal Sunshine of the Spotless Net", section 5 (their ``F``); Kunstner et al. 2019,
    "Limitations of the Empirical Fisher Approximation" (on the two kinds).
    """
    total = torch.zeros_like(function.flatten(function.parameters))
    missing = SquaredGradients.missing(function)
    if missing:
        _warn(f"{type(function.model).__name__} has parameters in {', '.join(missing)}, for which there is no rule")
    ruled = not missing
    squares = by_rules(function, information) if ruled else by_vmap(function, information)
    chunk = chunk or (function.batch_size if ruled else 32)
    for callback in callbacks:
        callback.on_start("Fisher information", -(-len(samples) // chunk))
    try:
        for step, batch in enumerate(function.batches(samples, chunk), start=1):
            found = squares(batch)
            if found is None:
                _warn(f"{type(function.model).__name__} runs a layer on rows that are not its samples")
                squares = by_vmap(function, information)
                found = squares(batch)
            assert found is not None
            total += found
            for callback in callbacks:
                callback.on_step(step)
    finally:
        for callback in callbacks:
            callback.on_end()
    return total / len(samples)


def by_rules(function: ModelFunction, information: Information = "empirical") -> Squares:
    """Squares of per-sample gradients by layer rules; None where they do not hold."""
    watched = SquaredGradients(function)
    if information == "empirical":
        return watched.of

    def squares(batch: Batch) -> Tensor | None:
        total: Tensor | None = None
        # √p ∇ℓ squared is p (∇ℓ)².
        for found in watched.of_each(batch, lambda o: [(p.sqrt(), y) for p, y in answers_of(function, o, batch)]):
            if found is None:
                return None
            total = found if total is None else total.add_(found)
        return total

    return squares


def by_vmap(function: ModelFunction, information: Information = "empirical") -> Squares:
    """The same for any model: each sample's gradient is made, and squared."""

    def weighted(batch: Batch, weights: Tensor | None) -> Tensor:
        gradients = function.sample_gradients(batch)
        squares = {name: g.square() for name, g in gradients.items()}
        if weights is not None:
            squares = {name: g * weights.view(-1, *[1] * (g.ndim - 1)) for name, g in squares.items()}
        return function.flatten({name: g.sum(dim=0) for name, g in squares.items()})

    def squares(batch: Batch) -> Tensor:
        if information == "empirical":
            return weighted(batch, None)
        with torch.no_grad():
            answers = answers_of(function, function.outputs(function.parameters, batch), batch)
        return torch.stack([weighted(Batch(batch.inputs, y), p) for p, y in answers]).sum(dim=0)

    return squares


def answers_of(function: ModelFunction, outputs: object, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    """`Task.answers`, without gradients.

    Raises:
        BadInputError: the task cannot name them.
    """
    with torch.no_grad():
        answers = function.task.answers(outputs, batch)
    if answers is None:
        raise BadInputError(
            "cannot take the true Fisher information",
            [f"{type(function.task).__name__} cannot name its answers (Task.answers); take the empirical one"],
        )
    return answers


def _warn(why: str) -> None:
    warnings.warn(f"{why}: per-sample gradients are made by vmap, which is exact but slower", stacklevel=3)
