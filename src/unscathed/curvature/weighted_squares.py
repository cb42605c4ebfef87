"""Each sample's squared gradient, weighted by parameter and summed over parameters: one number a sample."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

from unscathed.curvature.functional import ModelFunction, Parameters
from unscathed.curvature.layer_rules import Products, Rule, rule_of, samples_at_once
from unscathed.curvature.watched import Watched
from unscathed.samples import Samples


def weighted_squares(function: ModelFunction, samples: Samples, weights: Tensor) -> Tensor:
    """``Σ_p w_p (∇ℓ_i)_p²`` for each sample, [n], from one pass forward and backward.

    Layers with a rule for per-sample gradients (`layer_rules`) that run once are squared as they are met; a model with
    any other parameters is differentiated sample by sample with `torch.func.vmap`.

    Args:
        function: the model.
        samples: the samples i.
        weights: w, a vector [p].
    """
    watched = Watched(function, samples, "empirical", seed=0, memory=0)
    if {name for own in watched.own.values() for name in own.values()} != set(function.parameters):
        return _one_by_one(function, samples, weights)
    named = function.unflatten(weights)
    parts = []
    for seen in watched.batches():
        total = weights.new_zeros(len(seen[0][1]))
        for name, entered, gradient in seen:
            layer, own = watched.layers[name], watched.own[name]
            total += _of_layer(layer, {n: named[whole] for n, whole in own.items()}, entered, gradient)
        parts.append(total)
    return torch.cat(parts).cpu()


def _of_layer(layer: nn.Module, weights: Parameters, entered: Tensor, gradient: Tensor) -> Tensor:
    """One layer's share, [n]; ``weights`` by the parameters' names in the layer."""
    if type(layer) is nn.Linear and entered.ndim == 2:
        # Σ w (g aᵀ)² = g² w a²: no sample's gradient is made.
        squares = gradient.square()
        total = ((squares @ weights["weight"]) * entered.square()).sum(dim=1) if "weight" in weights else 0
        total = total + squares @ weights["bias"] if "bias" in weights else total
        assert isinstance(total, Tensor)
        return total
    rule = rule_of(layer)
    assert rule is not None
    at_once = samples_at_once(layer, entered, gradient)
    parts = zip(torch.split(entered, at_once), torch.split(gradient, at_once), strict=True)
    return torch.cat([_of_few(rule, layer, weights, few, their) for few, their in parts])


def _of_few(rule: Rule, layer: nn.Module, weights: Parameters, entered: Tensor, gradient: Tensor) -> Tensor:
    pieces: dict[str, list[Tensor]] = {}
    for name, piece in rule.pieces(layer, entered, gradient):
        pieces.setdefault(name, []).append(piece.made() if isinstance(piece, Products) else piece)
    total = gradient.new_zeros(len(entered))
    for name, wanted in weights.items():
        found: Any = pieces[name]
        whole = vmap(lambda *one: rule.whole(layer, one))(*found) if name == "weight" else found[0]
        total += (whole.square() * wanted).flatten(1).sum(dim=1)
    return total


def _one_by_one(function: ModelFunction, samples: Samples, weights: Tensor) -> Tensor:
    named = function.unflatten(weights)
    parts = []
    for batch in function.batches(samples, 32):
        total = weights.new_zeros(len(batch.inputs))
        for name, gradients in function.sample_gradients(batch).items():
            total += (gradients.square() * named[name]).flatten(1).sum(dim=1)
        parts.append(total)
    return torch.cat(parts).cpu()
