import gc
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.curvature.test_fisher import CASES, used
from tests.support import Ridge, ridge_trained, trained_by_hand
from torch import nn
from torch.func import functional_call, hessian, jacrev

from unscathed import Batch, ClassificationTask, Samples
from unscathed.curvature import GaussNewton, ModelFunction, conjugate_gradients, gauss_newton_product


def test_products_equal_the_explicit_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = Samples(torch.randn(9, 4, generator=generator, dtype=torch.float64), torch.arange(9) % 3)
    task = ClassificationTask(lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double(), 3)
    trained = trained_by_hand(task, samples)
    function = ModelFunction(trained, batch_size=4)
    model = trained.model()

    matrix = torch.zeros(43, 43, dtype=torch.float64)
    for batch in samples.batches(1):

        def outputs_of(vector: torch.Tensor, inputs: torch.Tensor = batch.inputs) -> torch.Tensor:
            return functional_call(model, function.unflatten(vector), (inputs,))[0]

        def loss_of(outputs: torch.Tensor, one: Batch = batch) -> torch.Tensor:
            return task.losses(outputs[None], one)[0]

        at = function.flatten(function.parameters)
        jacobian = jacrev(outputs_of)(at)
        matrix += jacobian.T @ hessian(loss_of)(outputs_of(at)) @ jacobian / len(samples)
    vector = torch.randn(43, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(gauss_newton_product(function, samples, vector), matrix @ vector, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("memory", [0, 1, 2**31])
def test_a_linearised_model_gives_the_same_products_again_and_again(name: str, memory: int) -> None:
    task, samples = CASES[name]
    function = ModelFunction(used(trained_by_hand(task, samples)), batch_size=4)
    size = len(function.flatten(function.parameters))
    product = GaussNewton(function, samples, memory=memory)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        vector = torch.randn(size, generator=generator, dtype=torch.float64)
        expected = gauss_newton_product(function, samples, vector)
        torch.testing.assert_close(product(vector), expected, rtol=1e-10, atol=1e-14)


def test_what_is_kept_is_freed() -> None:
    task, samples = CASES["sequences"]
    function = ModelFunction(trained_by_hand(task, samples), batch_size=4)
    product = GaussNewton(function, samples)
    product(torch.ones(len(function.flatten(function.parameters)), dtype=torch.float64))
    kept = weakref.ref(product._kept[0]._outputs)
    gc.disable()
    try:
        del product
        assert kept() is None, "without waiting for cycles to be found"
    finally:
        gc.enable()


def test_a_loss_that_is_linear_in_the_outputs_has_no_curvature() -> None:
    class Linear(Ridge):
        def losses(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
            return outputs.squeeze(1) * batch.targets

    _, samples = ridge_trained()
    product = GaussNewton(ModelFunction(trained_by_hand(Linear(5), samples)), samples)
    assert not product(torch.ones(5, dtype=torch.float64)).any()


def test_where_outputs_are_linear_it_is_the_hessian() -> None:
    trained, samples = ridge_trained()
    vector = torch.arange(5.0, dtype=torch.float64)
    expected = samples.inputs.T @ samples.inputs @ vector / len(samples)
    torch.testing.assert_close(
        gauss_newton_product(ModelFunction(trained), samples, vector), expected, rtol=1e-10, atol=0
    )


@given(st.integers(1, 8), st.integers(0, 1000), st.floats(0.01, 10))
def test_conjugate_gradients_solve(size: int, seed: int, damping: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=generator, dtype=torch.float64)
    matrix, right = root @ root.T, torch.randn(size, generator=generator, dtype=torch.float64)
    solution = conjugate_gradients(lambda v: matrix @ v, right, damping=damping, iterations=50 * size, tolerance=1e-12)
    exact = torch.linalg.solve(matrix + damping * torch.eye(size, dtype=torch.float64), right)
    torch.testing.assert_close(solution.vector, exact, rtol=1e-6, atol=1e-8)
    assert solution.residual <= 1e-11


def test_iterations_are_bounded_and_nothing_is_solved_in_none() -> None:
    matrix = torch.diag(torch.arange(1.0, 101, dtype=torch.float64))
    right = torch.ones(100, dtype=torch.float64)
    solution = conjugate_gradients(lambda v: matrix @ v, right, damping=0, iterations=3, tolerance=1e-12)
    assert solution.iterations == 3
    assert 0 < solution.residual < 1
    nothing = conjugate_gradients(lambda v: matrix @ v, 0 * right, damping=0, iterations=3)
    assert nothing.iterations == 0
    assert not nothing.vector.any()


def test_a_matrix_that_is_not_positive_does_not_send_the_solution_away() -> None:
    right = torch.ones(2, dtype=torch.float64)
    solution = conjugate_gradients(lambda v: -v, right, damping=0.5, iterations=9)
    assert not solution.vector.any()
