"""Products with the Gauss–Newton matrix, and solving with it, without ever forming it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad, vjp

from unscathed.curvature.functional import ModelFunction, Parameters, jvp
from unscathed.samples import Batch, Samples
from unscathed.training import Callback


def gauss_newton_product(function: ModelFunction, samples: Samples, vector: Tensor) -> Tensor:
    """``G v`` with the generalised Gauss–Newton matrix of the mean loss, ``G = 1/n Σ_i J_iᵀ H_i J_i``, as [p].

    ``J_i`` is the Jacobian of the outputs and ``H_i`` the Hessian of the loss in the outputs. ``G`` is positive
    semi-definite where the loss is convex in the outputs, and equals the Hessian where outputs are linear.

    Args:
        function: the model; its outputs must be one tensor.
        samples: the samples i.
        vector: v, [p].

    Source: Schraudolph 2002, "Fast Curvature Matrix-Vector Products".
    """
    tangent = function.tangent(vector)
    total = torch.zeros_like(vector)
    for batch in function.batches(samples):
        total += function.flatten(_product(function, batch, tangent))
    return total / len(samples)


def _product(function: ModelFunction, batch: Batch, tangent: Parameters) -> Parameters:
    def outputs_of(parameters: Parameters) -> Tensor:
        outputs: Tensor = function.outputs(parameters, batch)
        return outputs

    def loss_of(outputs: Tensor) -> Tensor:
        return function.task.losses(outputs, batch).sum()

    outputs, moved = jvp(outputs_of, function.parameters, tangent)
    bent = jvp(grad(loss_of), outputs, moved)[1]
    pull = vjp(outputs_of, function.parameters)[1]
    product: Parameters = pull(bent)[0]
    return product


@dataclass(frozen=True)
class Solution:
    """What conjugate gradients found.

    Args:
        vector: x, [p].
        iterations: products that it took.
        residual: ``‖b - A x‖ / ‖b‖``.
    """

    vector: Tensor
    iterations: int
    residual: float


def conjugate_gradients(
    product: Callable[[Tensor], Tensor],
    right: Tensor,
    *,
    damping: float,
    iterations: int,
    tolerance: float = 1e-3,
    callbacks: Sequence[Callback] = (),
) -> Solution:
    """Solve ``(A + damping · I) x = right`` for symmetric positive semi-definite A.

    Args:
        product: ``v -> A v``.
        right: b, [p].
        damping: added to A's diagonal, at least 0.
        iterations: the most products to take.
        tolerance: stop at this relative residual.
        callbacks: progress, one step an iteration.

    Source: Hestenes and Stiefel 1952.
    """
    solution = torch.zeros_like(right)
    residual = right.clone()
    direction = residual.clone()
    squared = float(residual @ residual)
    scale = squared**0.5
    taken = 0
    for callback in callbacks:
        callback.on_start("curvature solve", iterations)
    try:
        while taken < iterations and squared**0.5 > tolerance * scale:
            curved = product(direction) + damping * direction
            bend = float(direction @ curved)
            if bend <= 0:  # rounding, or a matrix that is not positive: going on would climb
                break
            step = squared / bend
            solution = solution + step * direction
            residual = residual - step * curved
            before, squared = squared, float(residual @ residual)
            direction = residual + (squared / before) * direction
            taken += 1
            for callback in callbacks:
                callback.on_step(taken)
    finally:
        for callback in callbacks:
            callback.on_end()
    return Solution(solution, taken, squared**0.5 / scale if scale else 0.0)
