"""EK-FAC in float64 against factors, bases and inverses made by hand, one sample at a time."""

import pytest
import torch
from tests.curvature.test_fisher import CASES, gradients_one_by_one, used
from tests.support import Ridge, ridge_trained, trained_by_hand
from torch import nn
from torch.nn import functional

from unscathed import BadInputError, ClassificationTask, Samples, Task
from unscathed.curvature import Kronecker, ModelFunction, fisher_diagonal, kronecker_factors

pytestmark = pytest.mark.filterwarnings("ignore:.*made by vmap")


def places(function: ModelFunction) -> dict[str, torch.Tensor]:
    """Where each parameter lies in the vector, in the parameter's shape."""
    count = function.flatten(function.parameters).numel()
    return function.unflatten(torch.arange(count))


def order(found: Kronecker) -> list[torch.Tensor]:
    """Each block's places in the vector, [out, in], as its bases have them."""
    where = places(found.function)
    made = []
    for block in found.blocks:
        weight, *bias = (where[name] for name in block.names)
        if not isinstance(block.layer, nn.Linear):
            weight = weight.movedim(1, -1).flatten(1)
        made.append(torch.cat([weight, *(b[:, None] for b in bias)], dim=1))
    return made


def dense(found: Kronecker) -> torch.Tensor:
    matrix = torch.diag(found.diagonal)
    for block, where in zip(found.blocks, order(found), strict=True):
        basis = torch.einsum("ou,iv->oiuv", block.left, block.right).reshape(where.numel(), -1)
        rows = where.flatten()
        matrix[rows[:, None], rows] = basis @ torch.diag(block.values.flatten()) @ basis.T
    return matrix


@pytest.mark.parametrize("memory", [0, 2**31])
@pytest.mark.parametrize("name", CASES)
def test_values_are_mean_squares_in_the_basis_and_the_diagonal_elsewhere(name: str, memory: int) -> None:
    task, samples = CASES[name]
    trained = used(trained_by_hand(task, samples))
    gradients = gradients_one_by_one(trained, samples)
    found = kronecker_factors(ModelFunction(trained, batch_size=4), samples, "empirical", memory=memory)
    rest = gradients.square().mean(0)
    for block, where in zip(found.blocks, order(found), strict=True):
        turned = torch.einsum("ou,noi,iv->nuv", block.left, gradients[:, where], block.right)
        torch.testing.assert_close(block.values, turned.square().mean(0), rtol=1e-10, atol=1e-14)
        rest[where] = 0
    torch.testing.assert_close(found.diagonal, rest, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_the_solve_is_the_damped_inverse(name: str) -> None:
    task, samples = CASES[name]
    found = kronecker_factors(ModelFunction(used(trained_by_hand(task, samples))), samples, "empirical")
    vector = torch.randn(len(found.diagonal), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = dense(found) + 0.1 * torch.eye(len(vector), dtype=torch.float64)
    torch.testing.assert_close(found.solve(vector, 0.1), torch.linalg.solve(matrix, vector), rtol=1e-9, atol=1e-12)


def test_blocks_stand_where_a_layer_is_one_product_a_place() -> None:
    def blocks(name: str) -> list[str]:
        task, samples = CASES[name]
        found = kronecker_factors(ModelFunction(trained_by_hand(task, samples)), samples, "empirical")
        return [type(block.layer).__name__ + " " + block.names[0] for block in found.blocks]

    convolutions = ["Conv2d 0.weight", "Conv2d 6.weight", "Conv1d 8.weight", "Linear 12.weight", "Linear 14.weight"]
    assert blocks("convolutions") == convolutions, "not the two that have groups"
    assert blocks("sequences") == ["Linear 2.weight", "Linear 5.weight", "Linear 8.weight"]
    assert blocks("loose") == ["Linear head.weight"]
    assert blocks("shared") == [], "every layer runs twice or shares its weight"
    assert blocks("time first") == [], "its rows are not samples"


class Settings(nn.Sequential):
    """Convolutions with every setting, and linear layers with one place and with fewer and more places than outputs."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(2, 0), dilation=(1, 2)),
            nn.Tanh(),
            nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular", bias=False),
            nn.Tanh(),
            nn.Flatten(2),
            nn.Linear(30, 6),
            nn.Tanh(),
            nn.Conv1d(4, 2, 3, stride=2, padding=1),
            nn.Flatten(),
            nn.Linear(6, 3),
        )


def test_bases_diagonalise_the_second_moments_of_inputs_and_output_gradients() -> None:
    generator = torch.Generator().manual_seed(1)
    samples = Samples(torch.randn(11, 2, 8, 8, generator=generator, dtype=torch.float64), torch.arange(11) % 3)
    task = ClassificationTask(lambda: Settings().double(), 3)
    trained = trained_by_hand(task, samples)
    found = kronecker_factors(ModelFunction(trained, batch_size=4), samples, "empirical")
    assert [b.names for b in found.blocks] == [
        ("0.weight", "0.bias"), ("2.weight",), ("5.weight", "5.bias"), ("7.weight", "7.bias"), ("9.weight", "9.bias"),
    ]  # fmt: skip
    model = trained.model()
    for block in found.blocks:
        layer = model.get_submodule(block.names[0].removesuffix(".weight"))
        inputs, outputs = watched(model, layer, samples, task)
        for basis, moment in ((block.right, inputs), (block.left, outputs)):
            torch.testing.assert_close(basis.T @ basis, torch.eye(len(basis), dtype=basis.dtype), rtol=0, atol=1e-12)
            turned = basis.T @ moment @ basis
            assert float((turned - torch.diag(turned.diagonal())).abs().max()) < 1e-10 * float(turned.abs().max())


def watched(model: nn.Module, layer: nn.Module, samples: Samples, task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    """Σ a aᵀ and Σ g gᵀ of one layer, by unfolding."""
    caught: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda _l, i, o: caught.extend((i[0], o)))
    batch = samples.take(torch.arange(len(samples)))
    losses = task.losses(model(batch.inputs), batch)
    handle.remove()
    entered, left = caught
    (gradient,) = torch.autograd.grad(losses.sum(), left)
    if isinstance(layer, nn.Linear):
        a, g = entered.reshape(-1, layer.in_features), gradient.reshape(-1, layer.out_features)
    else:
        image, settings = entered, [layer.kernel_size, layer.dilation, layer.stride]
        mode = "circular" if layer.padding_mode == "circular" else "constant"
        image = functional.pad(image, [s for p in reversed(layer.padding) for s in (p, p)], mode)
        if image.ndim == 3:
            image, settings = image[:, :, None], [(1, *s) for s in settings]
        kernel, dilation, stride = settings
        unfolded = functional.unfold(image, kernel, dilation, 0, stride)
        cells = unfolded.view(len(image), image.shape[1], -1, unfolded.shape[-1])  # channel, cell, place
        a, g = cells.permute(0, 3, 2, 1).flatten(2).flatten(0, 1), gradient.flatten(2).mT.flatten(0, 1)
    if layer.bias is not None:
        a = torch.cat([a, torch.ones(len(a), 1, dtype=a.dtype)], dim=1)
    return (a.T @ a).detach(), g.T @ g


@pytest.mark.parametrize("bias", [True, False])
def test_for_least_squares_with_one_output_it_is_the_gauss_newton_matrix(bias: bool) -> None:
    class Affine(Ridge):
        def build(self) -> nn.Module:
            return nn.Linear(self.dimensions, 1, bias=bias, dtype=torch.float64)

    _, samples = ridge_trained()
    found = kronecker_factors(ModelFunction(trained_by_hand(Affine(5), samples)), samples, seed=3)
    inputs = torch.cat([samples.inputs, torch.ones(len(samples), int(bias), dtype=torch.float64)], dim=1)
    torch.testing.assert_close(dense(found), inputs.T @ inputs / len(samples), rtol=1e-10, atol=1e-12)


def test_true_information_is_of_answers_drawn_by_their_probability() -> None:
    generator = torch.Generator().manual_seed(0)
    count = 3000
    samples = Samples(torch.randn(count, 2, generator=generator, dtype=torch.float64), torch.zeros(count).long())
    task = ClassificationTask(lambda: nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).double(), 3)
    function = ModelFunction(trained_by_hand(task, samples))
    exact = fisher_diagonal(function, samples, "true")
    one, again, other = (kronecker_factors(function, samples, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.diagonal, again.diagonal)
    assert not torch.equal(one.diagonal, other.diagonal)
    norm = one.diagonal > 0  # the normalisation's, one draw a sample: a standard error of about 2 %
    assert int(norm.sum()) == 6
    torch.testing.assert_close(one.diagonal[norm], exact[norm], rtol=0.1, atol=0)
    assert float((fisher_diagonal(function, samples)[norm] - exact[norm]).abs().max() / exact[norm].max()) > 0.3


def test_a_task_that_cannot_name_its_answers_has_no_true_factors() -> None:
    task, samples = CASES["language"]
    with pytest.raises(BadInputError, match="cannot name its answers"):
        kronecker_factors(ModelFunction(trained_by_hand(task, samples)), samples)
