"""Influence scores in float64, against dense Hessians and against retraining without each sample."""

from collections.abc import Callable

import pytest
import torch
from scipy.stats import spearmanr
from tests.support import blobs, ridge_trained, tiny_task, trained_by_hand
from tests.support.descent import small_model
from tests.support.tasks import ridge_solution
from torch import Tensor, nn
from torch.nn import functional

from unscathed import BadInputError, ClassificationTask, ParameterView, Samples
from unscathed.adversaries import Influential
from unscathed.curvature import ModelFunction, hessian

RIDGE = 0.7
DIMENSIONS, CLASSES = 4, 3
Losses = Callable[[Tensor, Samples], Tensor]
"""From a vector of parameters, each sample's loss."""


@pytest.mark.parametrize("curvature", ["kronecker", "last-layer"])
def test_on_ridge_regression_the_scores_are_exact(curvature: str) -> None:
    trained, samples = ridge_trained(ridge=RIDGE)
    validation = ridge_trained(count=15)[1].at(torch.arange(15))
    held = Samples(validation.inputs + 0.3, validation.targets)
    attack = Influential(3, curvature=curvature, damping=RIDGE / len(samples), curvature_samples=None)  # type: ignore[arg-type]
    values = attack.values(ParameterView(trained, samples, validation=held))

    weights = ridge_solution(samples.inputs, samples.targets, RIDGE)
    slope = held.inputs.T @ (held.inputs @ weights - held.targets) / len(held)
    gradients = samples.inputs * (samples.inputs @ weights - samples.targets)[:, None]
    gram = samples.inputs.T @ samples.inputs + RIDGE * torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(values, gradients @ torch.linalg.solve(gram, slope), rtol=1e-9, atol=1e-12)


def points(count: int, seed: int) -> Samples:
    """Points whose classes overlap, float64."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % CLASSES
    centres = torch.eye(CLASSES, DIMENSIONS, dtype=torch.float64)[targets]
    return Samples(centres + 0.6 * torch.randn(count, DIMENSIONS, generator=generator, dtype=torch.float64), targets)


def logistic(at: Tensor, samples: Samples) -> Tensor:
    weight, bias = at[:-CLASSES].view(CLASSES, DIMENSIONS), at[-CLASSES:]
    return functional.cross_entropy(samples.inputs @ weight.T + bias, samples.targets, reduction="none")


def optimum(samples: Samples, start: Tensor | None = None) -> Tensor:
    """``argmin Σ ℓ_i + ridge/2 ‖θ‖²`` of logistic regression, by Newton's method."""
    at = torch.zeros(CLASSES * (DIMENSIONS + 1), dtype=torch.float64) if start is None else start

    def objective(v: Tensor) -> Tensor:
        return logistic(v, samples).sum() + RIDGE / 2 * v @ v

    for _ in range(9 if start is None else 4):
        at = at - torch.linalg.solve(torch.func.hessian(objective)(at), torch.func.grad(objective)(at))
    assert float(torch.func.grad(objective)(at).norm()) < 1e-10
    return at


def logistic_view(samples: Samples, validation: Samples) -> ParameterView:
    at = optimum(samples)
    task = ClassificationTask(lambda: nn.Linear(DIMENSIONS, CLASSES, dtype=torch.float64), CLASSES)
    weights = {"weight": at[:-CLASSES].view(CLASSES, DIMENSIONS), "bias": at[-CLASSES:]}
    return ParameterView(trained_by_hand(task, samples, weights=weights), samples, validation=validation)


def by_force(losses: Losses, at: Tensor, samples: Samples, validation: Samples, damping: float) -> Tensor:
    curvature = torch.func.hessian(lambda v: losses(v, samples).mean())(at)
    curvature = curvature + damping * torch.eye(len(at), dtype=at.dtype)
    slope = torch.func.grad(lambda v: losses(v, validation).mean())(at)
    gradients = torch.func.jacrev(lambda v: losses(v, samples))(at)
    return gradients @ torch.linalg.solve(curvature, slope) / len(samples)


def test_over_the_last_layer_they_are_those_of_the_dense_hessian() -> None:
    samples, validation = points(36, 0), points(20, 1)
    values = Influential(3, curvature="last-layer", damping=0.02).values(logistic_view(samples, validation))
    expected = by_force(logistic, optimum(samples), samples, validation, 0.02)
    torch.testing.assert_close(values, expected, rtol=1e-9, atol=1e-12)


def test_below_the_last_layer_nothing_moves() -> None:
    trained, samples = small_model()
    validation = Samples(samples.inputs.flip(0) + 0.1, samples.targets)
    view = ParameterView(trained, samples, validation=validation)
    values = Influential(3, curvature="last-layer", damping=0.02).values(view)
    function = ModelFunction(trained, only={"2.weight", "2.bias"})
    bend = hessian(function, samples) + 0.02 * torch.eye(27, dtype=torch.float64)
    direction = torch.linalg.solve(bend, function.mean_gradient(validation))
    gradients = torch.stack([function.mean_gradient(samples.only([i])) for i in samples.ids])
    torch.testing.assert_close(values, gradients @ direction / len(samples), rtol=1e-9, atol=1e-12)


@pytest.fixture(scope="module")
def rise() -> Tensor:
    """By how much the validation loss rises where each sample is left out and all is trained anew, [36]."""
    samples, validation = points(36, 0), points(60, 1)
    whole = optimum(samples)
    left_out = [optimum(samples.without([i]), whole) for i in samples.ids]
    costs = torch.stack([logistic(at, validation).mean() for at in (whole, *left_out)])
    return costs[1:] - costs[0]


@pytest.mark.parametrize(("curvature", "least"), [("kronecker", 0.9), ("last-layer", 0.97)])
def test_they_rank_samples_as_retraining_without_each_does(curvature: str, least: float, rise: Tensor) -> None:
    samples, validation = points(36, 0), points(60, 1)
    attack = Influential(3, curvature=curvature, damping=RIDGE / 36, curvature_samples=None)  # type: ignore[arg-type]
    values = attack.values(logistic_view(samples, validation))
    assert spearmanr(values, rise).statistic > least
    assert 0.6 < float(values @ rise / (rise @ rise)) < 1.2, "in nats, too"
    luck = torch.rand(36, generator=torch.Generator().manual_seed(0))
    assert abs(spearmanr(luck, rise).statistic) < 0.4, "a random score does not"


def test_some_samples_are_enough_for_the_factors() -> None:
    trained, samples = small_model()
    view = ParameterView(trained, samples, validation=samples.at(torch.arange(5)))
    few, again, other, all_of_them = (
        Influential(3, curvature_samples=count, seed=seed).values(view)
        for count, seed in ((10, 0), (10, 0), (10, 1), (None, 0))
    )
    assert torch.equal(few, again)
    assert not torch.equal(few, other)
    assert spearmanr(few, all_of_them).statistic > 0.7


def test_bad_settings_are_all_named() -> None:
    with pytest.raises(BadInputError) as error:
        Influential(3, curvature="dense", damping=0.0, curvature_samples=0)  # type: ignore[arg-type]
    assert len(error.value.problems) == 3
    with pytest.raises(BadInputError, match="budget"):
        Influential(0)
    assert Influential(curvature="last-layer").damping > Influential().damping, "features are not of one scale"


def test_what_does_not_end_with_a_linear_layer_is_refused() -> None:
    task = ClassificationTask(lambda: nn.Sequential(nn.Linear(3, 3), nn.LogSoftmax(1)), 3)
    view = ParameterView(trained_by_hand(task, blobs(12)), blobs(12), validation=blobs(6))
    with pytest.raises(BadInputError, match=r"cannot attack with Influential: .*end the model with it"):
        Influential(3, curvature="last-layer").choose(view)
    assert len(Influential(3).choose(view)) == 3
    fine = ParameterView(trained_by_hand(tiny_task(), blobs(12)), blobs(12), validation=blobs(6))
    assert len(Influential(3, curvature="last-layer").choose(fine)) == 3
