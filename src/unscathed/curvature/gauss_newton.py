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
    return GaussNewton(function, samples, memory=0)(vector)


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


class GaussNewton:
    """Products ``v -> G v`` (`gauss_newton_product`) with the model linearised once.

    What a batch's derivatives need is kept from one product to the next, so that none runs the model forward again.

    Args:
        function: the model; its outputs must be one tensor.
        samples: the samples i.
        memory: bytes that may be kept; batches beyond them are run again in each product.
    """

    def __init__(self, function: ModelFunction, samples: Samples, *, memory: int = 2**31) -> None:
        self._function = function
        self._count = len(samples)
        self._kept: list[_Linearised] = []
        self._others: list[Batch] = []
        for batch in function.batches(samples):
            if memory > 0 and not self._others:
                self._kept.append(_Linearised(function, batch))
                memory -= self._kept[-1].nbytes
            else:
                self._others.append(batch)

    def __call__(self, vector: Tensor) -> Tensor:
        """``G v``, [p]."""
        function = self._function
        tangent = function.unflatten(vector)
        total = torch.zeros_like(vector)
        for batch in self._kept:
            total += function.flatten(batch.product(tangent))
        for other in self._others:
            total += function.flatten(_product(function, other, tangent))
        return total / self._count


class _Linearised:
    """A batch's ``Σ_i J_iᵀ H_i J_i``, from graphs that are made once: of the outputs, of ``Jᵀ u``, and of the slope in
    the outputs. ``Jᵀ u`` is linear in u, so that its derivative in u, pulled back along v, is ``J v``.
    """

    def __init__(self, function: ModelFunction, batch: Batch) -> None:
        parameters = {name: p.detach().requires_grad_() for name, p in function.parameters.items()}
        known = {p.untyped_storage().data_ptr() for p in parameters.values()}
        saved: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            self._outputs: Tensor = function.outputs(parameters, batch)
            self._left = torch.zeros_like(self._outputs).requires_grad_()
            pulled = torch.autograd.grad(
                self._outputs, list(parameters.values()), self._left, create_graph=True, materialize_grads=True
            )
            self._at = self._outputs.detach().requires_grad_()
            losses = function.task.losses(self._at, batch).sum()
            (self._slope,) = torch.autograd.grad(losses, self._at, create_graph=True)
        self._parameters = parameters
        self._pulled = {name: p for name, p in zip(parameters, pulled, strict=True) if p.requires_grad}
        self.nbytes = sum(size for where, size in saved.items() if where not in known)

    def product(self, tangent: Parameters) -> Parameters:
        along = [tangent[name] for name in self._pulled]
        (moved,) = torch.autograd.grad(list(self._pulled.values()), self._left, along, retain_graph=True)
        if not self._slope.requires_grad:  # a loss that is linear in the outputs
            return {name: torch.zeros_like(p) for name, p in self._parameters.items()}
        (bent,) = torch.autograd.grad(self._slope, self._at, moved, retain_graph=True)
        back = torch.autograd.grad(
            self._outputs, list(self._parameters.values()), bent, retain_graph=True, materialize_grads=True
        )
        return dict(zip(self._parameters, back, strict=True))


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
