"""The last layer's problem: derivatives against autograd, and what is no such problem."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.support import blobs, tiny_task, trained_by_hand
from torch import Tensor, nn

from unscathed import Batch, ClassificationTask, Samples, Task, Trained
from unscathed.unlearners import last_layer
from unscathed.unlearners.last_layer import LastLayer, problems_with_freezing


class FrozenBody(nn.Sequential):
    """A random body, frozen, under a linear layer."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 3, bias=bias))
        self[0].requires_grad_(False)


class Decoder(Task):
    """A loss that looks at inputs, besides outputs: reconstruction."""

    def build(self) -> nn.Module:
        return FrozenBody()

    def losses(self, outputs: Any, batch: Batch) -> Tensor:
        return (1 + (outputs - batch.inputs).square().sum(dim=1)).sqrt()


def random_weights(layer: LastLayer, seed: int = 0) -> Tensor:
    layer.perturbation = torch.randn(
        layer.perturbation.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return torch.randn(layer.perturbation.shape, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)


def by_hand(trained: Trained, samples: Samples, ridge: float, perturbation: Tensor) -> Callable[[Tensor], Tensor]:
    """The objective, written down as the paper has it."""
    model = trained.model()
    with torch.no_grad():
        features = model[1](model[0](samples.inputs)).double()  # type: ignore[index]
    if perturbation.shape[1] > features.shape[1]:
        features = torch.cat([features, torch.ones(len(features), 1, dtype=torch.float64)], dim=1)
    batch = Batch(samples.inputs.double(), samples.targets)

    def objective(flat: Tensor) -> Tensor:
        weights = flat.view_as(perturbation)
        losses = trained.task.losses(features @ weights.T, batch).sum()
        return losses + ridge / 2 * weights.square().sum() + (perturbation * weights).sum()

    return objective


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "conjugate gradients"])
@pytest.mark.parametrize(
    "task", [ClassificationTask(FrozenBody, 3), ClassificationTask(lambda: FrozenBody(bias=False), 3), Decoder()]
)
def test_gradient_and_newton_step_are_those_of_the_objective(
    task: Task, dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_layer, "DENSE", 100 if dense else 0)
    monkeypatch.setattr(last_layer, "ROWS", 16)  # several chunks
    samples = blobs(40)
    trained = trained_by_hand(task, samples)
    layer = LastLayer(trained, samples, 0.01)
    weights = random_weights(layer)
    objective = by_hand(trained, samples, 0.01 * 40, layer.perturbation)
    flat = weights.flatten()
    gradient = torch.autograd.functional.jacobian(objective, flat)
    hessian = torch.autograd.functional.hessian(objective, flat)
    torch.testing.assert_close(layer.gradient(weights).flatten(), gradient, rtol=1e-11, atol=1e-11)
    step = layer.newton_step(weights, layer.gradient(weights))
    torch.testing.assert_close(step.flatten(), -torch.linalg.solve(hessian, gradient), rtol=1e-8, atol=1e-10)
    assert all((rows.batch.inputs.stride()[0] == 0) == isinstance(task, ClassificationTask) for rows in layer.rows)


def test_the_minimum_has_no_gradient_and_is_the_one_that_a_peer_finds() -> None:
    samples = blobs(40)
    trained = trained_by_hand(ClassificationTask(FrozenBody, 3), samples)
    layer = LastLayer(trained, samples, 0.01)
    random_weights(layer)
    weights, left = layer.minimise(1e-9, what="test")
    assert left <= 1e-9
    objective = by_hand(trained, samples, 0.01 * 40, layer.perturbation)
    found = torch.zeros(weights.numel(), dtype=torch.float64, requires_grad=True)
    peer = torch.optim.LBFGS(
        [found], max_iter=500, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        peer.zero_grad()
        loss = objective(found)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    peer.step(closure)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(weights.flatten(), found.detach(), rtol=1e-6, atol=1e-6)


def test_what_stops_short_of_its_target_says_how_far_it_came() -> None:
    layer = LastLayer(trained_by_hand(ClassificationTask(FrozenBody, 3), blobs(40)), blobs(40), 0.01)
    random_weights(layer)
    weights, left = layer.minimise(0.0, what="test")
    assert 0 < left < 1e-10
    assert float(layer.gradient(weights).norm()) == left


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3, 3)
        self.head = nn.Linear(3, 3)
        self.head.weight = self.body.weight
        self.body.bias.requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.body(inputs))


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(inputs[:, :, None]).mean(dim=1)


class Concave(ClassificationTask):
    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        return super().losses(outputs, batch) - outputs.square().sum(dim=1)


def classify(model: Callable[[], nn.Module]) -> Task:
    return ClassificationTask(model, 3)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (tiny_task(), ["2 parameters below the last linear layer are trainable ('0.weight', '0.bias'); freeze them"]),
        (classify(lambda: nn.Flatten()), ["Flatten has no nn.Linear layer"]),
        (classify(lambda: nn.Linear(3, 3).requires_grad_(False)), ["frozen itself"]),
        (classify(Tied), ["shares its weights"]),
        (classify(Tokens), ["it must see one row a sample"]),
        (classify(lambda: nn.Sequential(nn.Linear(3, 3), nn.LogSoftmax(1))), ["end the model with it"]),
        (Concave(lambda: nn.Linear(3, 3), 3), ["the loss is not convex"]),
        (
            Concave(lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 3).requires_grad_(False)), 3),
            ["2 parameters below", "frozen itself", "not convex"],
        ),
    ],
    ids=lambda value: None if isinstance(value, list) else type(value).__name__,
)
def test_what_is_no_convex_problem_is_said(task: Task, words: list[str]) -> None:
    found = problems_with_freezing(task, blobs())
    assert len(found) == len(words)
    assert all(any(word in problem for problem in found) for word in words)


@pytest.mark.parametrize("task", [ClassificationTask(FrozenBody, 3), Decoder()])
def test_what_is_one_is_let_pass(task: Task) -> None:
    assert problems_with_freezing(task, blobs()) == []
