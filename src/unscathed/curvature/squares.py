"""Squared per-sample gradients of common layers, summed over samples, without a gradient for each sample at hand.

A layer's per-sample gradient is a product of what entered it and the gradient of what left it. Both are at hand in
one ordinary backward pass, in which no parameter needs a gradient of its own.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from unscathed.curvature.functional import ModelFunction
from unscathed.samples import Batch

Squares = dict[str, Tensor]
Rule = Callable[[nn.Module, Tensor, Tensor], Squares]
"""From the layer, its input [n, ...] and its output's gradient [n, ...]: the squares, by parameter name."""


class SquaredGradients:
    """``Σ_i (∇ℓ_i)²`` over a batch, for models whose parameters all sit in layers that have a rule.

    Args:
        function: the model; it is not changed (a copy of it is watched).
    """

    def __init__(self, function: ModelFunction) -> None:
        self.function = function
        self._model = copy.deepcopy(function.model).requires_grad_(False)
        self._calls: Counter[nn.Module] = Counter()
        self._rows: set[int] = set()
        self._squares: dict[str, Tensor] = {}
        for name, layer in self._model.named_modules():
            if _owns_parameters(layer):
                layer.register_forward_hook(self._watch(f"{name}." if name else ""))

    @staticmethod
    def suits(function: ModelFunction) -> bool:
        """Whether every parameter sits in one layer, and that layer has a rule."""
        owners = Counter(id(p) for m in function.model.modules() for p in m.parameters(recurse=False))
        layers = [m for m in function.model.modules() if _owns_parameters(m)]
        return max(owners.values(), default=0) == 1 and all(_has_rule(layer) for layer in layers)

    def of(self, batch: Batch) -> Tensor | None:
        """The squares as a vector [p]; None where no rule holds: the model runs a layer more than once, or on rows
        that are not the samples (several of each, in one long batch).
        """
        self._calls.clear()
        self._rows.clear()
        self._squares = {name: torch.zeros_like(p) for name, p in self.function.parameters.items()}
        task = self.function.task
        outputs = task.outputs(self._model, batch)
        if max(self._calls.values(), default=0) > 1 or self._rows != {len(batch.inputs)}:
            return None
        task.losses(outputs, batch).sum().backward()  # type: ignore[no-untyped-call]
        return self.function.flatten(self._squares)

    def _watch(self, prefix: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            self._calls[layer] += 1
            self._rows.add(len(inputs[0]))
            entered = inputs[0].detach()
            if not output.requires_grad:
                # The first layer: from here on gradients flow. A copy, since what follows may work in place.
                output = output.requires_grad_().clone()

            def square(gradient: Tensor) -> None:
                for name, squares in _RULES[type(layer)](layer, entered, gradient).items():
                    if prefix + name in self._squares:
                        self._squares[prefix + name] = squares

            output.register_hook(square)  # type: ignore[no-untyped-call]
            return output

        return hook


def _linear(layer: nn.Module, entered: Tensor, gradient: Tensor) -> Squares:
    assert isinstance(layer, nn.Linear)
    if entered.ndim == 2:
        # (g aᵀ)² = g² (a²)ᵀ: one product for all samples.
        weight, bias = gradient.square().T @ entered.square(), gradient
    else:
        entered, gradient = entered.flatten(1, -2), gradient.flatten(1, -2)
        weight, bias = (gradient.mT @ entered).square().sum(dim=0), gradient.sum(dim=1)
    return {"weight": weight, "bias": bias.square().sum(dim=0)}


def _convolution(layer: nn.Module, entered: Tensor, gradient: Tensor) -> Squares:
    assert isinstance(layer, nn.Conv2d)
    assert not isinstance(layer.padding, str)
    patches = functional.unfold(entered, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    count, places = len(entered), patches.shape[-1]
    patches = patches.view(count, layer.groups, -1, places)
    gradient = gradient.reshape(count, layer.groups, -1, places)
    weight = (gradient @ patches.mT).square_().sum(dim=0)
    return {"weight": weight.view_as(layer.weight), "bias": gradient.sum(dim=-1).flatten(1).square().sum(dim=0)}


def _batch_norm(layer: nn.Module, entered: Tensor, gradient: Tensor) -> Squares:
    assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
    normalised = functional.batch_norm(entered, layer.running_mean, layer.running_var, eps=layer.eps)
    places = list(range(2, entered.ndim))

    def over_places(values: Tensor) -> Tensor:
        return (values.sum(dim=places) if places else values).square().sum(dim=0)

    return {"weight": over_places(gradient * normalised), "bias": over_places(gradient)}


_RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: _linear,
    nn.Conv2d: _convolution,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
}


def _owns_parameters(layer: nn.Module) -> bool:
    return next(layer.parameters(recurse=False), None) is not None


def _has_rule(layer: nn.Module) -> bool:
    # Subclasses may do anything in their forward, so only the classes themselves are known.
    if type(layer) is nn.Conv2d:
        return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        return type(layer) in _RULES and layer.track_running_stats
    return type(layer) in _RULES
