"""One step at a time, in float64, for unlearners that fine-tune: what a hand would compute."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad

from tests.support.tasks import trained_by_hand
from unscathed import Batch, ClassificationTask, Recipe, Samples, Trained

Weights = dict[str, Tensor]
PLAIN = Recipe(
    epochs=1,
    batch_size=100,
    optimizer="sgd",
    momentum=0.0,
    weight_decay=0.0,
    learning_rate=0.5,
    schedule="constant",
    precision="float32",
    device="cpu",
)
"""All samples in a step, and a step as plain as can be."""


def small_model() -> tuple[Trained, Samples]:
    """A network of two layers, float64, and 30 samples of three classes."""
    generator = torch.Generator().manual_seed(5)
    samples = Samples(torch.randn(30, 3, generator=generator, dtype=torch.float64), torch.arange(30) % 3)
    task = ClassificationTask(lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)).double(), 3)
    return trained_by_hand(task, samples, recipe=PLAIN), samples


def batch_of(samples: Samples) -> Batch:
    return samples.take(torch.arange(len(samples)))


def outputs_with(weights: Weights, samples: Samples) -> Tensor:
    """What `small_model` says with other weights."""
    hidden = torch.tanh(samples.inputs @ weights["0.weight"].T + weights["0.bias"])
    return hidden @ weights["2.weight"].T + weights["2.bias"]


def stepped(weights: Weights, objective: Callable[[Weights], Any], rate: float) -> Weights:
    """One step down an objective."""
    gradients = grad(objective)(weights)
    return {name: w - rate * gradients[name] for name, w in weights.items()}
