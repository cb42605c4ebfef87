from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from tests.support import trained_by_hand
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.func import functional_call, hessian, jacrev

from unscathed import BadInputError, Batch, Recipe, Samples, fit
from unscathed.curvature import ModelFunction, fisher_diagonal, gauss_newton_product
from unscathed.lab import datasets
from unscathed.lab.models import DenseAutoencoder
from unscathed.lab.tasks import VariationalAutoencoder
from unscathed.training import state_of


class InOneBatch(DenseAutoencoder):
    """Decodes all codes of all images as one long batch, as convolutions must."""

    def decode(self, codes: Tensor) -> Tensor:
        return super().decode(codes.flatten(0, -2)).view(*codes.shape[:-1], *self.shape)


def tiny(kind: type[DenseAutoencoder] = DenseAutoencoder, latent: int = 2) -> nn.Module:
    return kind((1, 2, 2), latent, (3,)).double()


IMAGES = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
BATCH = Batch(IMAGES, torch.empty(5, 0))


def built(task: VariationalAutoencoder, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return task.build().eval()


def test_the_loss_is_the_negative_evidence_lower_bound() -> None:
    task = VariationalAutoencoder(tiny, draws=6)
    model = built(task)
    mean, log_variance = model.encode(IMAGES)  # type: ignore[operator]
    code = Normal(mean, (log_variance / 2).exp())
    prior = kl_divergence(code, Normal(0, 1)).sum(1)
    noise = task._noise(mean)
    logits = model.decode(mean[:, None] + code.scale[:, None] * noise)  # type: ignore[operator]
    right = logits.sigmoid()
    likelihood = IMAGES[:, None] * right.log() + (1 - IMAGES[:, None]) * (1 - right).log()
    expected = prior - likelihood.flatten(2).sum(2).mean(1)
    outputs = task.outputs(model, BATCH)
    assert outputs.shape == (5, 1, 6, 4 + 2 * 2)
    torch.testing.assert_close(task.losses(outputs, BATCH), expected)
    torch.testing.assert_close(task.scores(outputs, BATCH), -expected / 4)
    torch.testing.assert_close(noise.mean(1), torch.zeros(1, 2, dtype=torch.float64))
    torch.testing.assert_close(noise.square().mean(1), torch.ones(1, 2, dtype=torch.float64))


def test_the_bound_lies_below_the_likelihood() -> None:
    """Of black and white images and a code of one dimension, whose likelihood is an integral that can be taken."""
    task = VariationalAutoencoder(partial(tiny, latent=1), draws=2000)
    batch = Batch(IMAGES.round(), torch.empty(5, 0))
    codes = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    for scale in (3, 1, 0):
        model = built(task).requires_grad_(False)
        for parameter in model.parameters():
            parameter *= scale
        pixels = Bernoulli(logits=model.decode(codes[:, None]))  # type: ignore[operator]
        likelihood = pixels.log_prob(batch.inputs[:, None]).flatten(2).sum(2)
        exact = torch.trapezoid((likelihood + Normal(0, 1).log_prob(codes)).exp(), codes, dim=1).log()
        bound = -task.losses(task.outputs(model, batch), batch)
        if scale:
            assert (bound < exact).all()
        else:  # nothing is coded, and nothing lost
            torch.testing.assert_close(bound, exact)


def test_evaluation_repeats_itself_and_few_draws_do() -> None:
    task = VariationalAutoencoder(tiny)
    model = built(task)
    outputs = task.outputs(model, BATCH)
    assert torch.equal(task.outputs(model, BATCH), outputs)
    assert torch.equal(task.outputs(model, Batch(IMAGES[2:3], BATCH.targets[2:3]))[0], outputs[2])
    many = VariationalAutoencoder(tiny, draws=4000)
    torch.testing.assert_close(
        task.losses(outputs, BATCH), many.losses(many.outputs(model, BATCH), BATCH), rtol=0.02, atol=0
    )


def test_training_draws_other_codes_each_time_and_repeats_by_its_seed() -> None:
    task = VariationalAutoencoder(tiny)
    model = built(task).train()
    outputs = task.outputs(model, BATCH)
    assert outputs.shape == (5, 1, 1, 8)
    assert not torch.equal(task.outputs(model, BATCH), outputs)
    samples, recipe = Samples(IMAGES), Recipe(steps=9, batch_size=2, device="cpu")
    one, other = (fit(task, samples, recipe, seed=3).weights for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_several_models_are_a_mixture() -> None:
    task = VariationalAutoencoder(tiny)
    outputs = [task.outputs(built(task, seed), BATCH) for seed in (0, 1, 2)]
    losses = torch.stack([task.losses(o, BATCH) for o in outputs])
    mixed = task.losses(task.aggregate(outputs), BATCH)
    torch.testing.assert_close(mixed, -(-losses).exp().mean(0).log())
    assert (mixed <= losses.mean(0)).all()


def test_divergences_are_kl_of_the_code_and_of_the_pixels() -> None:
    task = VariationalAutoencoder(tiny)
    models = [built(task, seed).requires_grad_(False) for seed in (0, 1)]
    reference, outputs = (task.outputs(m, BATCH) for m in models)
    codes = [m.encode(IMAGES) for m in models]  # type: ignore[operator]
    one, other = (Normal(mean, (log_variance / 2).exp()) for mean, log_variance in codes)
    pixels, others = (Bernoulli(logits=o[:, 0, :, :4]) for o in (reference, outputs))
    expected = kl_divergence(one, other).sum(1) + kl_divergence(pixels, others).sum(2).mean(1)
    torch.testing.assert_close(task.divergences(reference, outputs, BATCH), expected)
    assert float(task.divergences(outputs, outputs, BATCH).abs().max()) < 1e-12


@pytest.mark.filterwarnings("ignore:InOneBatch runs a layer on rows that are not its samples")
@pytest.mark.parametrize("kind", [DenseAutoencoder, InOneBatch])
def test_curvature_is_exact(kind: type[DenseAutoencoder]) -> None:
    task = VariationalAutoencoder(partial(tiny, kind))
    samples = Samples(IMAGES)
    trained = trained_by_hand(task, samples)
    function = ModelFunction(trained, batch_size=3)
    model, at = trained.model(), function.flatten(function.parameters)
    vector = torch.randn(at.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    diagonal, product = torch.zeros_like(at), torch.zeros_like(at)
    for batch in samples.batches(1):

        def outputs_of(parameters: Tensor, batch: Batch = batch) -> Tensor:
            found: Tensor = functional_call(
                Outputs(task, model), {f"model.{n}": p for n, p in function.unflatten(parameters).items()}, (batch,)
            )
            return found.flatten()

        def loss_of(outputs: Tensor, batch: Batch = batch) -> Tensor:
            return task.losses(outputs.view(1, 1, 4, 8), batch)[0]

        jacobian, outputs = jacrev(outputs_of)(at), outputs_of(at)
        diagonal += (jacrev(loss_of)(outputs) @ jacobian).square() / 5
        bend = hessian(loss_of)(outputs)
        assert float(torch.linalg.eigvalsh(bend).min()) > -1e-12, "convex"
        product += jacobian.T @ (bend @ (jacobian @ vector)) / 5
    torch.testing.assert_close(fisher_diagonal(function, samples), diagonal, rtol=1e-8, atol=1e-14)
    torch.testing.assert_close(gauss_newton_product(function, samples, vector), product, rtol=1e-8, atol=1e-14)


class Outputs(nn.Module):
    def __init__(self, task: VariationalAutoencoder, model: nn.Module) -> None:
        super().__init__()
        self.task = task
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        return self.task.outputs(self.model, batch)


def test_features_are_mean_codes() -> None:
    task = VariationalAutoencoder(tiny)
    model = built(task)
    assert torch.equal(task.features(model, BATCH), model.encode(IMAGES)[0])  # type: ignore[operator]


def test_quality_tells_a_trained_model_from_an_untrained_one() -> None:
    digits = datasets.digits()
    task = VariationalAutoencoder(partial(DenseAutoencoder, digits.facts["shape"]), generated=400)
    trained = fit(task, digits.samples, Recipe(epochs=20, device="cpu"))
    untrained = replace(trained, weights=state_of(task.build()))
    good, bad = trained.quality(digits.test, seed=1), untrained.quality(digits.test, seed=1)
    assert good["frechet_distance"] < bad["frechet_distance"] / 2
    assert good["class_entropy"] > bad["class_entropy"] + 0.3
    assert trained.quality(digits.test, seed=1) == good
    assert trained.quality(digits.test, seed=2) != good
    assert trained.quality(Samples(digits.test.inputs)) == {}, "there is nothing to judge by without classes"
    images = task.generate(trained.model(), 3, 1)
    assert images.shape == (3, 1, 8, 8)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1


@pytest.mark.parametrize("draws", [0, 3])
def test_an_uneven_number_of_draws_is_refused(draws: int) -> None:
    with pytest.raises(BadInputError, match="even number"):
        VariationalAutoencoder(tiny, draws=draws)


@pytest.mark.parametrize("change", [lambda x: x * 2, lambda x: x - 1, lambda x: (x * 9).long()])
def test_inputs_that_are_no_grey_values_are_refused(change: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(BadInputError, match=r"give images as uint8, or as floats in 0…1"):
        fit(VariationalAutoencoder(tiny), Samples(change(IMAGES)))
