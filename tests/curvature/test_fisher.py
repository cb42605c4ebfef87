"""Exact against a loop over single samples, in float64."""

from dataclasses import replace

import pytest
import torch
from tests.support import Ridge, TinyTransformer, trained_by_hand
from torch import nn

from unscathed import Batch, ClassificationTask, Samples, Task
from unscathed.curvature import ModelFunction, fisher_diagonal
from unscathed.curvature.squares import SquaredGradients
from unscathed.training import Trained


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 2, groups=2, dilation=2),
        nn.GroupNorm(2, 4),
        nn.Flatten(),
        nn.Linear(16, 3),
    ).double()


def ruled() -> nn.Module:
    """Only layers that have rules of their own, with every setting that a rule must mind."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 2, groups=2, dilation=2, padding=(1, 0)),
        nn.Flatten(2),
        nn.Linear(8, 5),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(30, 7, bias=False),
        nn.BatchNorm1d(7),
        nn.Linear(7, 3),
    ).double()


def images(count: int) -> Samples:
    generator = torch.Generator().manual_seed(1)
    return Samples(torch.randn(count, 2, 8, 8, generator=generator, dtype=torch.float64), torch.arange(count) % 3)


def tokens(count: int) -> Samples:
    generator = torch.Generator().manual_seed(1)
    return Samples(torch.randint(0, 11, (count, 5), generator=generator), torch.arange(count) % 3)


def numbers(count: int) -> Samples:
    generator = torch.Generator().manual_seed(1)
    return Samples(torch.randn(count, 4, generator=generator, dtype=torch.float64), torch.ones(count).double())


CASES = {
    "rules": (ClassificationTask(ruled, 3), images(11)),
    "convolutions": (ClassificationTask(convolutional, 3), images(11)),
    "transformer": (ClassificationTask(TinyTransformer, 3), tokens(11)),
    "regression": (Ridge(4), numbers(11)),
}


def used(trained: Trained) -> Trained:
    """With normalisation statistics and scales that are not those of a new layer."""
    generator = torch.Generator().manual_seed(2)
    weights = {
        name: torch.rand(w.shape, generator=generator, dtype=w.dtype) + 0.5
        if w.is_floating_point() and w.ndim == 1
        else w
        for name, w in trained.weights.items()
    }
    return replace(trained, weights=weights)


def gradients_one_by_one(trained: Trained, samples: Samples) -> torch.Tensor:
    model, task = trained.model(), trained.task
    rows = []
    for batch in samples.batches(1):
        model.zero_grad()
        task.losses(task.outputs(model, task.prepare(batch)), batch).sum().backward()
        rows.append(torch.cat([p.grad.flatten() for p in model.parameters()]))  # type: ignore[union-attr]
    return torch.stack(rows)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("chunk", [1, 4, 32])
def test_the_diagonal_is_the_mean_of_squared_per_sample_gradients(name: str, chunk: int) -> None:
    task, samples = CASES[name]
    trained = used(trained_by_hand(task, samples))
    expected = gradients_one_by_one(trained, samples).square().mean(0)
    found = fisher_diagonal(ModelFunction(trained), samples, chunk=chunk)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_directional_derivatives_are_products_with_per_sample_gradients(name: str) -> None:
    task, samples = CASES[name]
    trained = trained_by_hand(task, samples)
    gradients = gradients_one_by_one(trained, samples)
    function = ModelFunction(trained, batch_size=4)
    direction = torch.randn(gradients.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(
        function.directional_derivatives(samples, direction), gradients @ direction, rtol=1e-10, atol=1e-14
    )
    torch.testing.assert_close(function.mean_gradient(samples), gradients.mean(0), rtol=1e-10, atol=1e-14)


def test_rules_are_used_where_they_hold_and_only_there() -> None:
    held = {name: SquaredGradients.suits(ModelFunction(trained_by_hand(*case))) for name, case in CASES.items()}
    assert held == {"rules": True, "convolutions": False, "transformer": False, "regression": True}


def test_a_layer_that_runs_twice_is_found_out_and_counted_right() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.again = nn.Linear(4, 4, dtype=torch.float64)
            self.head = nn.Linear(4, 3, dtype=torch.float64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.again(torch.tanh(self.again(x))))

    samples = Samples(numbers(7).inputs, torch.arange(7) % 3)
    trained = trained_by_hand(ClassificationTask(Twice, 3), samples)
    function = ModelFunction(trained)
    assert SquaredGradients.suits(function)
    expected = gradients_one_by_one(trained, samples).square().mean(0)
    torch.testing.assert_close(fisher_diagonal(function, samples, chunk=3), expected, rtol=1e-10, atol=1e-14)


def test_the_model_is_left_as_it_was() -> None:
    function = ModelFunction(trained_by_hand(*CASES["rules"]))
    batch = next(function.batches(CASES["rules"][1]))
    before = function.outputs(function.parameters, batch)
    fisher_diagonal(function, CASES["rules"][1])
    assert torch.equal(function.outputs(function.parameters, batch), before)
    assert all(p.requires_grad for p in function.model.parameters())
    assert not any(m._forward_hooks for m in function.model.modules())


def test_shared_weights_count_once() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(4, 4, dtype=torch.float64)
            self.other = self.one
            self.head = nn.Linear(4, 3, dtype=torch.float64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.other(torch.tanh(self.one(x))))

    task: Task = ClassificationTask(Shared, 3)
    samples = Samples(numbers(7).inputs, torch.arange(7) % 3)
    trained = trained_by_hand(task, samples)
    expected = gradients_one_by_one(trained, samples).square().mean(0)
    torch.testing.assert_close(fisher_diagonal(ModelFunction(trained), samples), expected, rtol=1e-10, atol=1e-14)


def test_frozen_parameters_are_left_out() -> None:
    class Frozen(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(4, 4, dtype=torch.float64), nn.Linear(4, 3, dtype=torch.float64))
            self[0].requires_grad_(False)

    samples = Samples(numbers(5).inputs, torch.arange(5) % 3)
    function = ModelFunction(trained_by_hand(ClassificationTask(Frozen, 3), samples))
    assert list(function.parameters) == ["1.weight", "1.bias"]
    assert fisher_diagonal(function, samples).shape == (15,)


def test_vectors_and_parameters_are_each_others_inverse() -> None:
    task, samples = CASES["convolutions"]
    function = ModelFunction(trained_by_hand(task, samples))
    back = function.unflatten(function.flatten(function.parameters))
    assert all(torch.equal(back[name], p) for name, p in function.parameters.items())
    batch = next(function.batches(samples))
    assert isinstance(batch, Batch)
