"""Layers: which of a model's parameters a healer moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from unscathed.problems import Problems
from unscathed.training import Around, Recipe
from unscathed.training.seeds import generator


class HealedLayers:
    """Which parameters move, and when; all of them, from the first step on, unless a subclass says otherwise."""

    def recipe(self, recipe: Recipe) -> Recipe:
        """The healer's recipe, changed where these layers need another."""
        return recipe

    def phases(self, total: int) -> list[tuple[int, Around]]:
        """How a healing of so many steps is divided: steps, and what is done to the model around them.

        Each phase has a whole schedule of its own.
        """
        return [(total, nullcontext)]


@dataclass(frozen=True, kw_only=True)
class AllLayers(HealedLayers):
    """All parameters, from the first step on."""


@dataclass(frozen=True, kw_only=True)
class HeadFirst(HealedLayers):
    """At first only the last linear layer and the norms, then all: features that are whole are not bent to a bad head.

    While the rest stands still, a step computes no gradients of its weights.

    Args:
        share: of the steps for which the rest stands still; at 1 it never moves.

    Source: Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution"
    (linear probing, then fine-tuning); that norms move with the head is chosen here.
    """

    share: float = 0.3

    def __post_init__(self) -> None:
        problems = Problems("cannot use HeadFirst")
        problems.require(0 < self.share <= 1, f"share={self.share} must be a share of the steps, 0 < share ≤ 1")
        problems.raise_any()

    def phases(self, total: int) -> list[tuple[int, Around]]:
        """The head alone, then everything."""
        first = min(total, max(1, round(self.share * total)))
        phases: list[tuple[int, Around]] = [(first, standing_still), (total - first, nullcontext)]
        return [phase for phase in phases if phase[0]]


@dataclass(frozen=True, kw_only=True)
class LowRank(HealedLayers):
    """Weights move by a correction of low rank, ``W + B A``; biases and norms move freely.

    Less can be learned so, and less can be learned again: what healing may change is bounded.

    Args:
        rank: of the correction of each linear and convolution layer (its filters taken as rows).

    Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", equation 3, merged when training is
    over. Trained by AdamW where the recipe has Muon, whose steps would not be of low rank.
    """

    rank: int = 8

    def __post_init__(self) -> None:
        problems = Problems("cannot use LowRank")
        problems.require(self.rank >= 1, f"rank={self.rank} must be at least 1")
        problems.raise_any()

    def recipe(self, recipe: Recipe) -> Recipe:
        """With AdamW in Muon's place; their learning rates mean the same."""
        return replace(recipe, optimizer="adamw") if recipe.optimizer == "muon" else recipe

    def phases(self, total: int) -> list[tuple[int, Around]]:
        """One, with weights frozen under their corrections."""
        return [(total, self._corrected)]

    @contextmanager
    def _corrected(self, model: nn.Module) -> Iterator[None]:
        layers: list[nn.Module] = [m for m in model.modules() if isinstance(m, nn.Linear | _ConvNd)]
        for layer in layers:
            weight = layer.weight
            assert isinstance(weight, Tensor)
            correction = _Correction(weight, self.rank)
            parametrize.register_parametrization(layer, "weight", correction)
            layer.parametrizations["weight"].original.requires_grad_(False)  # type: ignore[union-attr,index]
        try:
            yield
        finally:
            for layer in layers:
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


class _Correction(nn.Module):
    """``W ↦ W + B A``, at first nothing."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        rank = min(rank, rows, columns)
        self.left = nn.Parameter(weight.new_zeros(rows, rank))
        drawn = torch.randn(rank, columns, generator=generator(0, "low rank")) / columns**0.5
        self.right = nn.Parameter(drawn.to(weight))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.left @ self.right).view(weight.shape)


@contextmanager
def standing_still(model: nn.Module) -> Iterator[None]:
    """Around a training: the body does not move."""
    rest = [p for p in body(model) if p.requires_grad]
    for parameter in rest:
        parameter.requires_grad_(False)
    yield
    for parameter in rest:
        parameter.requires_grad_(True)


def body(model: nn.Module) -> list[nn.Parameter]:
    """All parameters but those of norms and of the last linear layer."""
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    kept = [*linear[-1:], *(m for m in model.modules() if isinstance(m, _NormBase | nn.LayerNorm | nn.GroupNorm))]
    quick = {id(p) for module in kept for p in module.parameters(recurse=False)}
    return [p for p in model.parameters() if id(p) not in quick]
