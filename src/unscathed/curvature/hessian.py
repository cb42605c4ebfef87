"""The exact Hessian of small models, and solving with it where it is not positive."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad, vmap

from unscathed.curvature.functional import ModelFunction, jvp
from unscathed.samples import Samples

LARGEST = 4096
"""Parameters of the largest model whose Hessian is formed (128 MiB in float64, and about as much again to solve)."""


def hessian(function: ModelFunction, samples: Samples, *, columns: int = 64) -> Tensor:
    """The Hessian of the mean loss, ``H = 1/n Σ_i ∇²ℓ_i``, as [p, p].

    Args:
        function: the model, with at most `LARGEST` parameters.
        samples: the samples i.
        columns: of H that are made at once.

    Source: Pearlmutter 1994, "Fast Exact Multiplication by the Hessian".
    """
    at = function.flatten(function.parameters)
    total = at.new_zeros(len(at), len(at))
    directions = torch.eye(len(at), dtype=at.dtype, device=at.device)
    for batch in function.batches(samples):
        slope = grad(lambda vector, b=batch: function.losses(function.unflatten(vector), b).sum())
        for first in range(0, len(at), columns):
            bent = vmap(lambda v, f=slope: jvp(f, at, v)[1])
            total[first : first + columns] += bent(directions[first : first + columns])
    total /= len(samples)
    return (total + total.T) / 2


class Spectral(NamedTuple):
    """A symmetric matrix's solution, and what its spectrum is like.

    Args:
        vector: x, [p].
        least: the matrix' least eigenvalue.
        negative: how many are negative (beyond rounding).
    """

    vector: Tensor
    least: float
    negative: int


def solve_by_magnitude(matrix: Tensor, right: Tensor, damping: float) -> Spectral:
    """``(|H| + damping · I)⁻¹ right``, with ``|H|`` having the absolute values of H's eigenvalues.

    Where H is positive this is the Newton step. Along a direction of negative curvature the Newton step would climb, to
    a saddle or a maximum; there, this one goes downhill, as far as the curvature's size says.

    Args:
        matrix: H, symmetric, [p, p].
        right: [p].
        damping: added to every ``|λ|``.

    Source: Dauphin et al. 2014, "Identifying and Attacking the Saddle Point Problem" (their saddle-free Newton method).
    """
    values, vectors = torch.linalg.eigh(matrix)
    rounding = torch.finfo(matrix.dtype).eps * len(matrix) * float(values.abs().max())
    solved = vectors @ ((vectors.T @ right) / (values.abs() + damping))
    return Spectral(solved, float(values[0]), int((values < -rounding).sum()))
