import pytest
import torch
from tests.curvature.test_fisher import CASES, used
from tests.support import trained_by_hand
from torch.func import grad, jacrev

from unscathed.curvature import ModelFunction, hessian, solve_by_magnitude


@pytest.mark.parametrize("name", ["transformer", "sequences", "regression"])
def test_it_is_the_matrix_of_second_derivatives_whatever_the_batches(name: str) -> None:
    task, samples = CASES[name]
    function = ModelFunction(used(trained_by_hand(task, samples)), batch_size=4)
    whole = next(function.batches(samples, len(samples)))
    # Backward twice: torch.func.hessian (2.13.0) is not symmetric for the transformer, and differs from differences.
    expected = jacrev(grad(lambda vector: function.losses(function.unflatten(vector), whole).mean()))(
        function.flatten(function.parameters)
    )
    torch.testing.assert_close(hessian(function, samples, columns=50), expected, rtol=1e-9, atol=1e-12)


def test_an_indefinite_matrix_is_solved_downhill_and_said_to_be_so() -> None:
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q
    values = torch.tensor([-2.0, 0.0, 0.5, 3.0], dtype=torch.float64)
    right = torch.randn(4, generator=generator, dtype=torch.float64)
    found = solve_by_magnitude(basis @ torch.diag(values) @ basis.T, right, 0.1)
    expected = basis @ torch.diag(1 / (values.abs() + 0.1)) @ basis.T @ right
    torch.testing.assert_close(found.vector, expected, rtol=1e-10, atol=0)
    assert found.negative == 1
    assert abs(found.least + 2) < 1e-12
    assert float(found.vector @ right) > 0


def test_a_positive_matrix_is_solved_as_newton_does() -> None:
    root = torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    right = torch.ones(5, dtype=torch.float64)
    found = solve_by_magnitude(root @ root.T, right, 0.3)
    expected = torch.linalg.solve(root @ root.T + 0.3 * torch.eye(5, dtype=torch.float64), right)
    torch.testing.assert_close(found.vector, expected, rtol=1e-10, atol=0)
    assert found.negative == 0
