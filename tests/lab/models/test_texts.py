from collections.abc import Callable

import pytest
import torch
from tests.support import trained_by_hand
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.func import functional_call, hessian

from unscathed import Batch, ClassificationTask, Samples
from unscathed.curvature import ModelFunction, fisher_diagonal, gauss_newton_product
from unscathed.lab.models import CharacterTransformer, TextTransformer
from unscathed.lab.tasks import LanguageModel
from unscathed.task import Task

WORDS = torch.tensor([[5, 3, 2, 7, 0, 0], [2, 2, 6, 1, 4, 3], [4, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])


def classifier() -> nn.Module:
    return TextTransformer(3, 8, 6, width=4, heads=2, layers=1).double()


def writer() -> nn.Module:
    return CharacterTransformer(8, 6, width=4, heads=2, layers=1).double()


def test_padding_changes_nothing() -> None:
    model = TextTransformer(3, 8, 6).eval()
    logits = model(WORDS)
    torch.testing.assert_close(model(WORDS[:1, :4]), logits[:1])
    torch.testing.assert_close(model(WORDS[2:3, :1]), logits[2:3])
    assert torch.isfinite(logits).all(), "a text without any word too"
    assert not torch.allclose(model(WORDS[:1, :3]), logits[:1])


def test_a_character_is_predicted_from_those_before_it() -> None:
    model = CharacterTransformer(8, 6).eval()
    logits, later = model(WORDS), WORDS.clone()
    later[:, 3:] = 1
    torch.testing.assert_close(model(later)[:, :3], logits[:, :3])
    assert not torch.allclose(model(later)[:, 3:], logits[:, 3:])
    assert logits.shape == (4, 6, 8)


@pytest.mark.parametrize(
    ("task", "targets"),
    [
        (ClassificationTask(classifier, 3), torch.tensor([0, 2, 1, 1])),
        (LanguageModel(writer, 8), None),
    ],
    ids=["classifier", "writer"],
)
def test_curvature_is_exact_through_attention(task: Task, targets: Tensor | None) -> None:
    """Against gradients of one sample at a time, and against ``Jᵀ H J`` from the explicit Jacobian."""
    samples = Samples(WORDS, targets, list("abcd")).only(["a", "b", "c"])
    trained = trained_by_hand(task, samples)
    function = ModelFunction(trained, batch_size=2)
    model = trained.model()
    at = function.flatten(function.parameters)
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(at.shape, generator=generator, dtype=torch.float64)

    diagonal, product = torch.zeros_like(at), torch.zeros_like(at)
    for batch in samples.batches(1):

        def outputs_of(parameters: Tensor, batch: Batch = batch) -> Tensor:
            found: Tensor = functional_call(model, function.unflatten(parameters), (batch.inputs,))
            return found.flatten()

        def loss_of(outputs: Tensor, batch: Batch = batch) -> Tensor:
            return task.losses(outputs.view_as(model(batch.inputs)), batch)[0]

        rows = jacobian(outputs_of, at, vectorize=False)
        outputs = outputs_of(at)
        slope = torch.autograd.functional.jacobian(loss_of, outputs)
        diagonal += (slope @ rows).square() / 3
        product += rows.T @ (hessian(loss_of)(outputs) @ (rows @ vector)) / 3
    torch.testing.assert_close(fisher_diagonal(function, samples), diagonal, rtol=1e-8, atol=1e-14)
    torch.testing.assert_close(gauss_newton_product(function, samples, vector), product, rtol=1e-8, atol=1e-13)
    along = function.directional_derivatives(samples, vector)
    torch.testing.assert_close(along.mean(), function.mean_gradient(samples) @ vector, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("build", [classifier, writer])
def test_evaluation_and_derivatives_see_the_same_model(build: Callable[[], nn.Module]) -> None:
    """torch's fused path in evaluation, plain products where derivatives are taken."""
    task = ClassificationTask(build, 3)
    samples = Samples(WORDS, [0, 1, 2, 0], list("abcd"))
    trained = trained_by_hand(task, samples)
    function = ModelFunction(trained)
    (batch,) = function.batches(samples)
    with torch.no_grad():
        outputs = trained.model()(WORDS)
    torch.testing.assert_close(function.outputs(function.parameters, batch), outputs)
