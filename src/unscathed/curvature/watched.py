"""Runs a model over samples and keeps what enters each layer and the gradient of what leaves it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from unscathed.curvature.fisher import Information, answers_of
from unscathed.curvature.functional import ModelFunction, differentiable_attention
from unscathed.curvature.layer_rules import rule_of, with_gradient
from unscathed.samples import Batch, Samples
from unscathed.training.seeds import generator

Seen = tuple[str, Tensor, Tensor]
"""A layer's name, what entered it [n, ...], and the gradient of what left it [n, ...]."""


class Watched:
    """The layers of a model, seen at work on samples whose losses are summed.

    Only layers are seen that have a rule for per-sample gradients, run once, on one row a sample, and share nothing.

    Args:
        function: the model; it is not changed (a copy of it is watched).
        samples: what it runs on.
        information: ``"true"``: the target of each sample is drawn from the model's own answers (`Task.answers`);
            ``"empirical"``: it is the sample's.
        seed: of the draws.
        memory: bytes that what was seen may take from one pass to the next; beyond it, it is made again.

    Raises:
        BadInputError: from `batches`, if the task cannot name its answers.
    """

    def __init__(
        self, function: ModelFunction, samples: Samples, information: Information, *, seed: int, memory: int
    ) -> None:
        self.function = function
        self._samples = samples
        self._information = information
        self._seed = seed
        self._memory = memory
        self._kept: list[list[Seen]] = []
        self._model = copy.deepcopy(function.model).requires_grad_(False)
        self._calls: Counter[str] = Counter()
        self._rows: dict[str, int] = {}
        self._seen: list[Seen] = []
        owners = Counter(id(p) for m in function.model.modules() for p in m.parameters(recurse=False))
        self.layers: dict[str, nn.Module] = {}
        """By name, those that are seen."""
        for name, layer in self._model.named_modules():
            alone = all(owners[id(p)] == 1 for p in function.model.get_submodule(name).parameters(recurse=False))
            if self._own(name, layer) and alone and rule_of(layer) is not None:
                layer.register_forward_hook(self._watch(name))
                self.layers[name] = layer
        # Two samples show which layers run once, on rows that are samples.
        batch = next(function.batches(samples, 2))
        self._run(batch)
        regular = {name for name in self.layers if self._calls[name] == 1 and self._rows[name] == len(batch.inputs)}
        self.layers = {name: layer for name, layer in self.layers.items() if name in regular}
        self.own = {name: self._own(name, layer) for name, layer in self.layers.items()}
        """By layer, the names of its trainable parameters in the model, by their names in the layer."""
        self.steps = -(-len(samples) // function.batch_size)
        """Batches a pass."""

    def _own(self, name: str, layer: nn.Module) -> dict[str, str]:
        found = {own: f"{name}.{own}" if name else own for own, _ in layer.named_parameters(recurse=False)}
        return {own: whole for own, whole in found.items() if whole in self.function.parameters}

    def batches(self) -> Iterator[list[Seen]]:
        """Each batch's layers, last first; asked again, the same."""
        if len(self._kept) == self.steps:
            yield from self._kept
            return
        self._kept.clear()
        draw = generator(self._seed, "answers")
        for batch in self.function.batches(self._samples):
            outputs = self._run(batch)
            if self._information == "true":
                batch = self._drawn(outputs, batch, draw)
            self.function.task.losses(outputs, batch).sum().backward()  # type: ignore[no-untyped-call]
            found = [seen for seen in self._seen if seen[0] in self.layers]
            if self.steps * sum(entered.nbytes + gradient.nbytes for _, entered, gradient in found) <= self._memory:
                self._kept.append(found)
            yield found

    def _run(self, batch: Batch) -> Tensor:
        self._seen, self._rows = [], {}
        self._calls.clear()
        with differentiable_attention(), torch.enable_grad():
            outputs: Tensor = self.function.task.outputs(self._model, batch)
        return outputs

    def _drawn(self, outputs: Tensor, batch: Batch, draw: torch.Generator) -> Batch:
        """The batch with one of the model's own answers for each sample, by their probability."""
        chances, targets = zip(*answers_of(self.function, outputs, batch), strict=True)
        reached = torch.stack(chances).cumsum(dim=0)
        point = torch.rand(len(batch.inputs), generator=draw, dtype=torch.float64).to(reached)
        chosen = (reached <= point * reached[-1]).sum(dim=0).clamp_max(len(targets) - 1)
        return Batch(batch.inputs, torch.stack(targets)[chosen, torch.arange(len(chosen), device=chosen.device)])

    def _watch(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            self._calls[name] += 1
            self._rows[name] = len(inputs[0])
            entered = inputs[0].detach()
            output = with_gradient(output)
            output.register_hook(lambda gradient: self._seen.append((name, entered, gradient)))  # type: ignore[no-untyped-call]
            return output

        return hook
