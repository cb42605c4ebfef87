import pickle

import torch
from sklearn.datasets import load_sample_images
from tests.support import trained_by_hand
from torch.nn import functional

from unscathed import ClassificationTask, Recipe, Samples, fit
from unscathed.curvature import ModelFunction, fisher_diagonal, gauss_newton_product
from unscathed.curvature.squares import SquaredGradients
from unscathed.lab.models import FastNet
from unscathed.lab.models.fast import Whiten

NORMALISE = ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])


def tiny() -> FastNet:
    return FastNet(3, widths=(4, 5, 6)).double()


def pictures(count: int) -> Samples:
    generator = torch.Generator().manual_seed(0)
    return Samples(torch.randn(count, 3, 10, 10, generator=generator, dtype=torch.float64), torch.arange(count) % 3)


def test_whitening_whitens_photographs_that_its_numbers_were_not_taken_from() -> None:
    photographs = torch.stack([torch.tensor(image) for image in load_sample_images().images]).permute(0, 3, 1, 2)
    thumbnails = functional.avg_pool2d(photographs.float() / 255, 8)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in NORMALISE)
    inputs = (thumbnails - mean) / std
    patches = functional.unfold(inputs, 2).transpose(0, 1).flatten(1)
    responses = Whiten()(inputs).transpose(0, 1).flatten(1)
    torch.testing.assert_close(responses[12:], -responses[:12])
    before, after = (torch.linalg.cond(values.cov()) for values in (patches, responses[:12]))
    assert before > 10_000
    assert after < 20


def test_it_maps_images_to_logits_and_travels_by_pickle() -> None:
    model = pickle.loads(pickle.dumps(tiny())).eval()
    assert model(pictures(2).inputs).shape == (2, 3)


def test_blocks_start_as_the_identity_on_their_first_channels() -> None:
    first = tiny().body[1][0]
    inputs = pictures(2).inputs[:, :1].expand(2, 24, 10, 10)
    torch.testing.assert_close(first(inputs), inputs[:, :4])


def test_whitening_is_not_trained() -> None:
    task = ClassificationTask(lambda: FastNet(2, widths=(4, 4, 4)), 2)
    samples = Samples(torch.randint(0, 256, (16, 3, 10, 10), dtype=torch.uint8), torch.arange(16) % 2)
    trained = fit(task, samples, Recipe(steps=3, batch_size=8), seed=0)
    assert torch.equal(trained.weights["whiten.kernels"], Whiten().kernels)
    assert not any("whiten" in name for name in ModelFunction(trained).parameters)


def test_its_curvature_is_exact_by_layer_rules() -> None:
    samples = pictures(7)
    trained = trained_by_hand(ClassificationTask(tiny, 3), samples)
    function = ModelFunction(trained, batch_size=4)
    assert not SquaredGradients.missing(function)
    model = trained.model()
    rows = []
    for batch in samples.batches(1):
        loss = trained.task.losses(model(batch.inputs), batch).sum()
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]))
    gradients = torch.stack(rows)
    found = fisher_diagonal(function, samples, chunk=3)
    torch.testing.assert_close(found, gradients.square().mean(0), rtol=1e-9, atol=1e-14)
    direction = torch.randn(len(found), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(function.directional_derivatives(samples, direction), gradients @ direction)
    assert float(direction @ gauss_newton_product(function, samples, direction)) > 0
