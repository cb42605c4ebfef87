"""Tiny tasks, in float64 where exactness is tested."""

from typing import Any

import torch
from torch import Tensor, nn

from unscathed import Batch, ClassificationTask, Recipe, Samples, Task, Trained
from unscathed.training import state_of


class Ridge(Task):
    """Linear regression, half the squared error; float64. With damping for the ridge, everything has a closed form."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions

    def build(self) -> nn.Module:
        return nn.Linear(self.dimensions, 1, bias=False, dtype=torch.float64)

    def losses(self, outputs: Any, batch: Batch) -> Tensor:
        return (outputs.squeeze(1) - batch.targets).square() / 2

    def answers(self, outputs: Any, batch: Batch) -> list[tuple[Tensor, Tensor]]:
        """A Gaussian of deviation 1 has the second moment of its mean, one up and one down."""
        mean = outputs.squeeze(1)
        return [(torch.full_like(mean, 0.5), mean + 1), (torch.full_like(mean, 0.5), mean - 1)]


class TinyTransformer(nn.Module):
    """One encoder layer over tokens, float64."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8, dtype=torch.float64)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, dtype=torch.float64)
        self.head = nn.Linear(8, 3, dtype=torch.float64)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.layer(self.embed(tokens)).mean(dim=1))


def trained_by_hand(task: Task, samples: Samples, seed: int = 0, **changes: Any) -> Trained:
    """A model with fresh (or given) weights that claims the samples as its own."""
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "weights": state_of(task.build()),
        "recipe": Recipe(epochs=1, batch_size=16, precision="float32", device="cpu"),
        "seed": seed,
        "ids": samples.ids,
    }
    return Trained(task=task, **{**settings, **changes})


def ridge_trained(count: int = 40, dimensions: int = 5, ridge: float = 0.7) -> tuple[Trained, Samples]:
    """A ridge regression, solved exactly: ``argmin Σ ½(x·w - y)² + ridge/2 ‖w‖²``."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(count, dimensions, generator=generator, dtype=torch.float64)
    targets = inputs @ torch.arange(1.0, dimensions + 1, dtype=torch.float64) + torch.randn(
        count, generator=generator, dtype=torch.float64
    )
    samples = Samples(inputs, targets)
    weights = {"weight": ridge_solution(inputs, targets, ridge)[None]}
    return trained_by_hand(Ridge(dimensions), samples, weights=weights), samples


def ridge_solution(inputs: Tensor, targets: Tensor, ridge: float) -> Tensor:
    gram = inputs.T @ inputs + ridge * torch.eye(inputs.shape[1], dtype=inputs.dtype)
    return torch.linalg.solve(gram, inputs.T @ targets)


def blobs(count: int = 60, classes: int = 3, seed: int = 0, spread: float = 0.3) -> Samples:
    """Points around as many corners as there are classes, float32 [count, classes]."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % classes
    inputs = torch.eye(classes)[targets] * 2 + spread * torch.randn(count, classes, generator=generator)
    return Samples(inputs, targets)


def tiny_task(classes: int = 3) -> ClassificationTask:
    return ClassificationTask(lambda: nn.Sequential(nn.Linear(classes, 8), nn.ReLU(), nn.Linear(8, classes)), classes)


def noisy_blobs(count: int = 150) -> Samples:
    """Three blobs and twenty dimensions of noise, by which a model can know a sample when nothing else tells it."""
    clean = blobs(count)
    noise = torch.randn(count, 20, generator=torch.Generator().manual_seed(0))
    return Samples(torch.cat([2 * clean.inputs, noise], dim=1), clean.targets)


def remembering_task() -> ClassificationTask:
    """Of `noisy_blobs`: with `REMEMBERING`, it learns wrong labels by heart and the others from each other."""
    return ClassificationTask(lambda: nn.Sequential(nn.Linear(23, 32), nn.ReLU(), nn.Linear(32, 3)), 3)


REMEMBERING = Recipe(epochs=40, batch_size=16, learning_rate=0.02)
