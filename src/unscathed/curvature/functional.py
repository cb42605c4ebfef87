"""A trained model as a function of its parameters: what derivatives are taken of."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from unscathed.samples import Batch, Samples
from unscathed.task import Task
from unscathed.training import Trained
from unscathed.training.machine import keeping_memory

Parameters = dict[str, Tensor]


class ModelFunction:
    """The model in evaluation mode, at its own precision, as a function of its trainable parameters.

    Args:
        trained: the model; it is not changed.
        batch_size: samples a batch; by default the recipe's.
        only: the names of the parameters that it is a function of; by default all trainable ones.
    """

    def __init__(self, trained: Trained, batch_size: int | None = None, only: Container[str] | None = None) -> None:
        self.task = trained.task
        self.machine = trained.machine
        self.batch_size = batch_size or max(64, trained.recipe.batch_size)
        self.model = trained.model()
        if any(isinstance(m, nn.GroupNorm) for m in self.model.modules()):
            # Its forward-mode derivative takes views that the channels-last layout does not allow.
            self.machine = replace(trained.machine, memory_format=torch.contiguous_format)
            self.model = self.machine.place(self.model)
        if only is not None:
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(parameter.requires_grad and name in only)
        self._outputs = _Outputs(trained.task, self.model)
        self._places = _places(self.model)
        self.parameters: Parameters = {name: p.detach() for name, p in self.model.named_parameters() if p.requires_grad}

    def outputs(self, parameters: Parameters, batch: Batch) -> Any:
        """The task's outputs with these parameters in place of the model's own."""
        named = {}
        for name, parameter in parameters.items():
            for place, padding in self._places.get(name, {name: None}).items():
                named[f"model.{place}"] = parameter if padding is None else _with_still_row(parameter, padding)
        with differentiable_attention():
            return functional_call(self._outputs, named, (batch,), tie_weights=False)

    def losses(self, parameters: Parameters, batch: Batch) -> Tensor:
        """The loss of each sample, [n]."""
        return self.task.losses(self.outputs(parameters, batch), batch)

    def batches(self, samples: Samples, size: int | None = None) -> Iterator[Batch]:
        """Prepared batches on the device; what one leaves in memory is kept for the next."""
        with keeping_memory():
            for batch in samples.batches(size or self.batch_size):
                yield self.machine.stage(self.task.prepare(self.machine.stage(batch)))

    def flatten(self, parameters: Parameters) -> Tensor:
        """One vector [p] from parameters, in their order."""
        return torch.cat([parameters[name].reshape(-1) for name in self.parameters])

    def unflatten(self, vector: Tensor) -> Parameters:
        """The parameters that `flatten` made a vector of."""
        sizes = [p.numel() for p in self.parameters.values()]
        parts = torch.split(vector, sizes)
        return {name: part.view_as(p) for (name, p), part in zip(self.parameters.items(), parts, strict=True)}

    def mean_gradient(self, samples: Samples) -> Tensor:
        """The gradient of the mean loss over the samples, as a vector [p]."""
        total = torch.zeros_like(self.flatten(self.parameters))
        for batch in self.batches(samples):
            gradient = torch.func.grad(lambda p, b=batch: self.losses(p, b).sum())(self.parameters)
            total += self.flatten(gradient)
        return total / len(samples)

    def sample_gradients(self, batch: Batch) -> Parameters:
        """Each sample's own gradient, [n, ...] by parameter, whatever the layers: by vmap, all held at once."""

        def loss(parameters: Parameters, inputs: Tensor, target: Tensor) -> Tensor:
            return self.losses(parameters, Batch(inputs[None], target[None]))[0]

        per_sample = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0), randomness="error")
        found: Parameters = per_sample(self.parameters, batch.inputs, batch.targets)
        return found

    def directional_derivatives(self, samples: Samples, direction: Tensor) -> Tensor:
        """``∇ℓ_i · direction`` for each sample, [n], in one forward-mode pass: no per-sample gradient is made.

        Args:
            samples: the samples i.
            direction: a vector [p].
        """
        tangent = self.unflatten(direction)
        parts = []
        for batch in self.batches(samples):

            def losses(parameters: Parameters, batch: Batch = batch) -> Tensor:
                return self.losses(parameters, batch)

            parts.append(jvp(losses, self.parameters, tangent)[1].detach())
        return torch.cat(parts).cpu()


def jvp(function: Callable[[Any], Tensor], at: Any, tangent: Any) -> tuple[Tensor, Tensor]:
    """A function's value, and its derivative along a tangent (`torch.func.jvp` of one argument)."""
    value, derivative = torch.func.jvp(function, (at,), (tangent,))[:2]
    return value, derivative


@contextmanager
def differentiable_attention() -> Iterator[None]:
    """Within, attention is computed from plain products: the fused kernels have no forward-mode derivative."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class _Outputs(nn.Module):
    """Lets `functional_call` reach the model through ``task.outputs``, whatever that does with it."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        super().__init__()
        self.task = task
        self.model = model

    def forward(self, batch: Batch) -> Any:
        return self.task.outputs(self.model, batch)


def _places(model: nn.Module) -> dict[str, dict[str, int | None]]:
    """By parameter: all places that hold it, each once, with the row that is padding where that is an embedding's.

    Left to tie weights by itself, `functional_call` exchanges the parameters of a layer with two names twice, and does
    not put them back.
    """
    names = {id(p): name for name, p in model.named_parameters()}
    found: dict[str, dict[str, int | None]] = {}
    for prefix, layer in model.named_modules():
        for own, parameter in layer.named_parameters(recurse=False, remove_duplicate=False):
            padding = layer.padding_idx if isinstance(layer, nn.Embedding) else None
            found.setdefault(names[id(parameter)], {})[f"{prefix}.{own}" if prefix else own] = padding
    return found


def _with_still_row(weight: Tensor, row: int) -> Tensor:
    """A weight whose padding does not move: backward mode gives it no gradient, but forward mode would move it."""
    padding = torch.arange(len(weight), device=weight.device)[:, None] == row
    return torch.where(padding, weight.detach(), weight)
