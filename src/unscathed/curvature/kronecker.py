"""EK-FAC: the Fisher information as one Kronecker product a layer, with corrected eigenvalues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unscathed.curvature.fisher import Information, fisher_diagonal
from unscathed.curvature.functional import ModelFunction
from unscathed.curvature.layer_rules import rule_of
from unscathed.curvature.rows import as_matrix, from_matrix, has_rows, rows_of
from unscathed.curvature.squares import layer_squares
from unscathed.curvature.watched import Seen, Watched
from unscathed.samples import Samples
from unscathed.training import Callback


@dataclass(frozen=True)
class Block:
    """One layer's share of the information, ``(Q_A ⊗ Q_S) diag(Λ) (Q_A ⊗ Q_S)ᵀ``.

    Args:
        layer: the layer.
        names: of its weight and, where that is trained, its bias.
        left: Q_S, the eigenvectors of the output gradients' second moment S, [out, out].
        right: Q_A, those of the inputs' second moment A, [in, in], with one more for a bias.
        values: Λ, the mean squares of the samples' gradients in this basis, [out, in].
    """

    layer: nn.Module
    names: tuple[str, ...]
    left: Tensor
    right: Tensor
    values: Tensor

    def solve(self, parameters: dict[str, Tensor], damping: float) -> dict[str, Tensor]:
        """The damped inverse times this layer's part of a vector."""
        parts = [parameters[name] for name in self.names]
        rotated = self.left.T @ as_matrix(self.layer, *parts) @ self.right
        solved = self.left @ (rotated / (self.values + damping)) @ self.right.T
        return dict(zip(self.names, from_matrix(self.layer, solved, bias=len(parts) == 2), strict=True))


@dataclass(frozen=True)
class Kronecker:
    """The Fisher information, block diagonal by layer; `kronecker_factors` makes it.

    Args:
        function: the model.
        blocks: those of linear layers and convolutions.
        diagonal: of all other parameters, [p]; zero where a block stands.
    """

    function: ModelFunction
    blocks: tuple[Block, ...]
    diagonal: Tensor

    def solve(self, vector: Tensor, damping: float) -> Tensor:
        """``(F + damping · I)⁻¹ vector``, [p]; not finite where there is no information and no damping."""
        parts = self.function.unflatten(vector)
        solved = self.function.unflatten(vector / (self.diagonal + damping))
        for block in self.blocks:
            solved.update(block.solve(parts, damping))
        return self.function.flatten(solved)


def kronecker_factors(
    function: ModelFunction,
    samples: Samples,
    information: Information = "true",
    *,
    seed: int = 0,
    memory: int = 2**31,
    callbacks: Sequence[Callback] = (),
) -> Kronecker:
    """The eigenvalue-corrected Kronecker factorisation (EK-FAC) of the Fisher information.

    Linear layers and ungrouped convolutions that run once have a block each. Other parameters (of norms, embeddings,
    attention, layers that run several times) have the diagonal of the same information; between layers all is zero.
    It is exact for a single linear layer where the second moment of the output's gradient is the same at every input:
    least squares with one output. The true information is the Gauss–Newton matrix where the loss is the negative
    logarithm of an exponential family with the outputs as its natural parameters (cross-entropy, least squares).

    Args:
        function: the model.
        samples: the samples i.
        information: ``"true"``: of one answer a sample, drawn from the model's own (`Task.answers`);
            ``"empirical"``: of the samples' targets.
        seed: of the draws.
        memory: bytes that activations and gradients may take between the two passes; beyond it they are made again.
        callbacks: progress, one step a batch and pass.

    Raises:
        BadInputError: the true information of a task that cannot name its answers.

    Source: George et al. 2018, "Fast Approximate Natural Gradient Descent in a Kronecker-factored Eigenbasis",
    algorithm 1 (their ``U_A``, ``U_B``, ``S``); Grosse et al. 2023, "Studying Large Language Model Generalization with
    Influence Functions", equations 18 to 20 (their ``Q_A``, ``Q_S``, ``Λ``).
    """
    watched = Watched(function, samples, information, seed=seed, memory=memory)
    passes = _Passes(watched, callbacks)
    moments: dict[str, tuple[Tensor, Tensor]] = {}
    values: dict[str, Tensor] = {}
    squares = {name: torch.zeros_like(p) for name, p in function.parameters.items()}
    factored = {n: "bias" in own for n, own in watched.own.items() if "weight" in own and has_rows(watched.layers[n])}
    for callback in callbacks:
        callback.on_start("Kronecker factors", 2 * watched.steps)
    try:
        for name, entered, gradient in passes.once():
            layer = watched.layers[name]
            if name in factored:
                inputs, outputs = rows_of(layer, entered, gradient, bias=factored[name]).moments()
                before = moments.get(name, (0, 0))
                moments[name] = before[0] + inputs, before[1] + outputs
            else:
                rule = rule_of(layer)
                assert rule is not None
                for own, sums in layer_squares(rule, layer, watched.own[name], entered, gradient).items():
                    squares[watched.own[name][own]] += sums
        bases = {name: (_eigenvectors(outputs), _eigenvectors(inputs)) for name, (inputs, outputs) in moments.items()}
        for name, entered, gradient in passes.once():
            if name in factored:
                rows = rows_of(watched.layers[name], entered, gradient, bias=factored[name])
                values[name] = values.get(name, 0) + rows.squares(*bases[name])
    finally:
        for callback in callbacks:
            callback.on_end()
    blocks = tuple(
        Block(watched.layers[name], tuple(watched.own[name].values()), *bases[name], values[name] / len(samples))
        for name in watched.layers
        if name in factored
    )
    diagonal = function.flatten(squares) / len(samples)
    seen = {name for own in watched.own.values() for name in own.values()}
    if seen != set(function.parameters):
        other = function.flatten({n: torch.full_like(p, n not in seen) for n, p in function.parameters.items()})
        diagonal = torch.where(other > 0, fisher_diagonal(function, samples, information), diagonal)
    return Kronecker(function, blocks, diagonal)


class _Passes:
    """Goes through all layers of all batches, and reports it."""

    def __init__(self, watched: Watched, callbacks: Sequence[Callback]) -> None:
        self._watched = watched
        self._callbacks = callbacks
        self._steps = 0

    def once(self) -> Iterator[Seen]:
        for batch in self._watched.batches():
            yield from batch
            self._steps += 1
            for callback in self._callbacks:
                callback.on_step(self._steps)


def _eigenvectors(moment: Tensor) -> Tensor:
    vectors: Tensor = torch.linalg.eigh(moment).eigenvectors
    return vectors
