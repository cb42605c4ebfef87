"""Squared per-sample gradients, summed over samples, from one ordinary backward pass.

In that pass no parameter needs a gradient of its own: what enters each layer and the gradient of what leaves it make
every sample's gradient (`layer_rules`), a few samples at a time, so that they are squared while still in the cache.
"""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from unscathed.curvature.attention import NoRuleError, SelfAttention
from unscathed.curvature.functional import ModelFunction, differentiable_attention
from unscathed.curvature.layer_rules import Products, Rule, Squares, rule_of, samples_at_once, with_gradient
from unscathed.samples import Batch


class SquaredGradients:
    """``Σ_i (∇ℓ_i)²`` over a batch, for models whose parameters all sit in layers that have a rule.

    Args:
        function: the model; it is not changed (a copy of it is watched).
    """

    def __init__(self, function: ModelFunction) -> None:
        self.function = function
        self._model = copy.deepcopy(function.model).requires_grad_(False)
        self._names = {id(p): name for name, p in self._model.named_parameters() if name in function.parameters}
        _open_attention(self._model)
        self._uses: Counter[str] = Counter()
        self._rows: set[int] = set()
        self._single = False
        self._squares: dict[str, Tensor] = {}
        self._kept: dict[str, list[list[Tensor]]] = defaultdict(list)
        self._whole: dict[str, Callable[[Sequence[Tensor]], Tensor]] = {}
        for layer in self._model.modules():
            rule = rule_of(layer)
            if rule is not None and self._own(layer):
                layer.register_forward_hook(self._watch(rule))

    @staticmethod
    def missing(function: ModelFunction) -> list[str]:
        """The classes of layers that have parameters to differentiate and no rule."""
        lacking: dict[str, None] = {}
        for name, layer in function.model.named_modules():
            own = [f"{name}.{n}" if name else n for n, _ in layer.named_parameters(recurse=False)]
            inside = name.rpartition(".")[0]
            opened = SelfAttention.suits(layer) or SelfAttention.suits(function.model.get_submodule(inside))
            if any(n in function.parameters for n in own) and rule_of(layer) is None and not opened:
                lacking[type(layer).__name__] = None
        return list(lacking)

    def of(self, batch: Batch) -> Tensor | None:
        """The squares as a vector [p]; None where no rule holds: the model runs a layer on rows that are not the
        samples (several of each, in one long batch), or attends to something else than itself.
        """
        return next(self.of_each(batch, lambda _outputs: [(None, batch.targets)]))

    def of_each(
        self, batch: Batch, answers: Callable[[Tensor], list[tuple[Tensor | None, Tensor]]]
    ) -> Iterator[Tensor | None]:
        """The squares for several sets of targets, as `of` gives them, from one forward pass.

        Args:
            batch: the samples.
            answers: from the outputs, pairs of ``(weights, targets)``; each sample's loss is multiplied by its weight.
        """
        task = self.function.task
        try:
            if not self._single:
                self._run(Batch(batch.inputs[:1], batch.targets[:1]))  # one sample, so one row everywhere
                self._single = True
            outputs = self._run(batch)
        except NoRuleError:
            yield None
            return
        chosen = answers(outputs)
        for number, (weights, targets) in enumerate(chosen, start=1):
            self._squares = {name: torch.zeros_like(p) for name, p in self.function.parameters.items()}
            self._kept.clear()
            losses = task.losses(outputs, Batch(batch.inputs, targets))
            total = losses.sum() if weights is None else (losses * weights).sum()
            total.backward(retain_graph=number < len(chosen))  # type: ignore[no-untyped-call]
            for name, uses in self._kept.items():
                added = [torch.stack(pieces).sum(dim=0) for pieces in zip(*uses, strict=True)]
                self._squares[name] = self._whole[name]([piece.square_().sum(dim=0) for piece in added])
            yield self.function.flatten(self._squares)

    def _run(self, batch: Batch) -> Tensor:
        self._uses.clear()
        self._rows.clear()
        with differentiable_attention(), torch.enable_grad():
            outputs: Tensor = self.function.task.outputs(self._model, batch)
        if self._rows != {len(batch.inputs)}:
            raise NoRuleError
        return outputs

    def _own(self, layer: nn.Module) -> dict[str, str]:
        """The names of a layer's parameters in the model, by their names in the layer."""
        own = layer.named_parameters(recurse=False)
        return {name: self._names[id(p)] for name, p in own if id(p) in self._names}

    def _watch(self, rule: Rule) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            own = self._own(layer)
            self._uses.update(own.values())
            self._rows.add(len(inputs[0]))
            entered = inputs[0].detach()
            output = with_gradient(output)
            output.register_hook(lambda gradient: self._take(rule, layer, own, entered, gradient))  # type: ignore[no-untyped-call]
            return output

        return hook

    def _take(self, rule: Rule, layer: nn.Module, own: dict[str, str], entered: Tensor, gradient: Tensor) -> None:
        """What backward brings to a layer: squared at once, or kept where other uses of a parameter must be added."""
        if max(self._uses[name] for name in own.values()) > 1:
            made = ((name, _made(piece)) for name, piece in rule.pieces(layer, entered, gradient))
            for name, pieces in _by_name(made, own).items():
                self._kept[own[name]].append(pieces)
                self._whole[own[name]] = partial(_whole, rule, layer, name)
            return
        squares = layer_squares(rule, layer, own, entered, gradient)
        self._squares.update({own[name]: found for name, found in squares.items()})


def layer_squares(rule: Rule, layer: nn.Module, own: Container[str], entered: Tensor, gradient: Tensor) -> Squares:
    """The squares of a layer's per-sample gradients, summed over samples, so many at a time as fit the cache.

    Args:
        rule: the layer's.
        layer: it ran once.
        own: which of its parameters are asked for, by their names in it.
        entered: its input, [n, ...].
        gradient: of its output, [n, ...].
    """
    squares = rule.squares(layer, entered, gradient)
    if squares is not None:
        return {name: found for name, found in squares.items() if name in own}
    total: dict[str, list[Tensor]] = {}
    at_once = samples_at_once(layer, entered, gradient)
    for few, their in zip(torch.split(entered, at_once), torch.split(gradient, at_once), strict=True):
        place: Counter[str] = Counter()
        for name, piece in rule.pieces(layer, few, their):
            if name not in own:
                continue
            sums = total.setdefault(name, [])
            if place[name] == len(sums):
                sums.append(_squares(piece, None))
            else:
                _squares(piece, sums[place[name]])
            place[name] += 1
    return {name: _whole(rule, layer, name, pieces) for name, pieces in total.items()}


def _squares(piece: Tensor | Products, total: Tensor | None) -> Tensor:
    """A piece's squares, summed over samples, and added to a total in place."""
    if isinstance(piece, Products):
        return piece.squares(total)
    squares = piece.square_().sum(dim=0)
    return squares if total is None else total.add_(squares)


def _made(piece: Tensor | Products) -> Tensor:
    return piece.made() if isinstance(piece, Products) else piece


def _by_name(pieces: Iterable[tuple[str, Tensor]], own: Container[str]) -> dict[str, list[Tensor]]:
    found: dict[str, list[Tensor]] = defaultdict(list)
    for name, piece in pieces:
        if name in own:
            found[name].append(piece)
    return found


def _whole(rule: Rule, layer: nn.Module, name: str, pieces: Sequence[Tensor]) -> Tensor:
    return rule.whole(layer, pieces) if name == "weight" else pieces[0]


def _open_attention(model: nn.Module) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MultiheadAttention) and SelfAttention.suits(child):
                setattr(parent, name, SelfAttention(child))
