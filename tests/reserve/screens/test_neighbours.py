import torch
from hypothesis import given
from hypothesis import strategies as st

from unscathed.reserve.screens.neighbours import neighbours


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 99))
def test_the_nearest_others_are_those_of_brute_force(count: int, k: int, seed: int) -> None:
    vectors = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    apart = (vectors[:, None] - vectors).square().sum(-1).fill_diagonal_(torch.inf)
    assert torch.equal(neighbours(vectors, k), apart.argsort(dim=1)[:, : min(k, count - 1)])


def test_nobody_is_its_own_neighbour_even_among_copies() -> None:
    near = neighbours(torch.zeros(30, 2), 3)
    assert near.shape == (30, 3)
    assert not (near == torch.arange(30)[:, None]).any()
