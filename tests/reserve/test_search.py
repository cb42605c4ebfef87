import torch
from hypothesis import given
from hypothesis import strategies as st

from unscathed.reserve import search


@given(
    st.integers(1, 300),
    st.integers(1, 70),
    st.sampled_from([1, 2, 5, 64, 1100]),
    st.sampled_from([70, 1000, 1500, 3000]),
    st.integers(0, 999),
)
def test_the_least_of_blocks_are_the_least_of_all(columns: int, rows: int, most: int, block: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # No two of a row are the same.
    values = torch.rand(rows, 10 * columns, generator=generator).argsort(dim=1).float()
    kept, places = values.new_empty(rows, 0), torch.empty((rows, 0), dtype=torch.long)
    start = 0
    for part in values.split(block, 1):
        kept, places = search._better(kept, places, part, start, most)
        start += part.shape[1]
    best = values.sort(dim=1)
    assert torch.equal(kept, best.values[:, :most])
    assert torch.equal(places, best.indices[:, :most])
