"""The optimizers that recipes name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import SGD, AdamW, Optimizer

from unscathed.training.recipe import Recipe


def optimizers_for(model: nn.Module, recipe: Recipe) -> list[Optimizer]:
    """The optimizers that together train a model's trainable parameters, at the recipe's peak learning rate."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    matrices = _hidden_matrices(model) if recipe.optimizer == "muon" else []
    taken = {id(p) for p in matrices}
    rest = [p for p in trainable if id(p) not in taken]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    # The fused kernels update all parameters in one pass; on small models the loop over them was a third of a step.
    settings: dict[str, Any] = {
        "lr": recipe.learning_rate,
        "fused": all(p.device.type in ("cpu", "cuda") for p in trainable),
    }
    made: list[Optimizer] = []
    if matrices:
        made.append(FilterMuon(matrices, recipe))
    if groups and recipe.optimizer == "sgd":
        made.append(SGD(groups, momentum=recipe.momentum, nesterov=recipe.momentum > 0, **settings))
    elif groups:
        made.append(AdamW(groups, **settings))
    return made


class FilterMuon(torch.optim.Muon):
    """Muon over weights of two dimensions and more, each filter [i, h, w] of a convolution taken as a matrix's row.

    Steps are scaled to the size of AdamW's, so that one learning rate and weight decay suit both.

    Args:
        weights: of linear and convolution layers.
        recipe: its learning rate, momentum and weight decay.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the scale: Liu et al. 2025,
    "Muon is Scalable for LLM Training", section 2.2.
    """

    def __init__(self, weights: list[nn.Parameter], recipe: Recipe) -> None:
        self._weights = weights
        super().__init__(
            [nn.Parameter(_in_memory_order(w.detach(), w).view(len(w), -1)) for w in weights],  # they share memory
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )

    def step(self, closure: Any = None) -> Any:
        """One step along the gradients that the weights hold."""
        for matrix, weight in zip(self.param_groups[0]["params"], self._weights, strict=True):
            gradient = weight.grad
            matrix.grad = None if gradient is None else _in_memory_order(gradient, weight).reshape(len(weight), -1)
        return super().step(closure)  # type: ignore[no-untyped-call]


def _in_memory_order(values: Tensor, weight: Tensor) -> Tensor:
    """Values of a weight's shape with dimensions in the order in which the weight lies in memory."""
    return values if weight.is_contiguous() else values.permute(0, 2, 3, 1)


def _hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The weights of linear and convolution layers, but for the last linear one: it answers, and has AdamW's rule."""
    layers: list[Any] = [m for m in model.modules() if isinstance(m, nn.Linear | _ConvNd)]
    answering = [m for m in layers if isinstance(m, nn.Linear)][-1:]
    return [m.weight for m in layers if m not in answering and m.weight.requires_grad]
