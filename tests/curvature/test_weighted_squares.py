import pytest
import torch
from tests.curvature.test_fisher import CASES, gradients_one_by_one, used
from tests.support import trained_by_hand

from unscathed.curvature import ModelFunction, fisher_diagonal, weighted_squares

pytestmark = pytest.mark.filterwarnings("ignore:.*made by vmap")


@pytest.mark.parametrize("name", CASES)
def test_they_are_the_weighted_sums_of_each_samples_squares(name: str) -> None:
    task, samples = CASES[name]
    trained = used(trained_by_hand(task, samples))
    gradients = gradients_one_by_one(trained, samples)
    weights = torch.rand(gradients.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    function = ModelFunction(trained, batch_size=4)
    found = weighted_squares(function, samples, weights)
    torch.testing.assert_close(found, gradients.square() @ weights, rtol=1e-10, atol=1e-14)
    # Their mean is the Fisher diagonal's weighted sum, which is made by other code.
    torch.testing.assert_close(found.mean(), fisher_diagonal(function, samples) @ weights, rtol=1e-10, atol=1e-14)


def test_frozen_parameters_are_left_out() -> None:
    task, samples = CASES["convolutions"]
    trained = used(trained_by_hand(task, samples))
    names = list(ModelFunction(trained).parameters)[1::2]
    function = ModelFunction(trained, only=names)
    where = function.flatten(function.parameters)
    kept = torch.cat([torch.full((p.numel(),), n in names) for n, p in ModelFunction(trained).parameters.items()])
    expected = gradients_one_by_one(trained, samples)[:, kept].square().sum(dim=1)
    torch.testing.assert_close(weighted_squares(function, samples, torch.ones_like(where)), expected)
