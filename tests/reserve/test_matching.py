import torch
from hypothesis import given
from hypothesis import strategies as st

from unscathed import Cosine, Euclidean
from unscathed.reserve.matching import NONE_LEFT, nearest_once


def one_by_one(distances: torch.Tensor) -> list[int]:
    """The paper's rule, literally: each query takes the nearest candidate that is left."""
    left = list(range(distances.shape[1]))
    taken = []
    for row in distances:
        if not left:
            taken.append(NONE_LEFT)
            continue
        best = min(left, key=lambda c: (float(row[c]), c))
        left.remove(best)
        taken.append(best)
    return taken


@given(
    st.integers(1, 40), st.integers(0, 40), st.integers(1, 3), st.integers(0, 999), st.sampled_from([1, 2, 5, 64]),
    st.sampled_from([1, 7, 4096]), st.sampled_from([Cosine(), Euclidean()]),
)  # fmt: skip
def test_each_query_takes_the_nearest_that_is_left(
    queries: int, candidates: int, dimensions: int, seed: int, keep: int, block: int, similarity: Cosine | Euclidean
) -> None:
    generator = torch.Generator().manual_seed(seed)
    ours = torch.randn(queries, dimensions, generator=generator)
    theirs = torch.randn(candidates, dimensions, generator=generator)
    match, distance = nearest_once(similarity, ours, theirs, keep=keep, block=block)
    distances = torch.cat([similarity.distances(part, theirs) for part in ours.split(block)])
    expected = one_by_one(distances)
    assert match.tolist() == expected
    for row, chosen in enumerate(expected):
        if chosen == NONE_LEFT:
            assert torch.isnan(distance[row])
        else:
            assert distance[row] == distances[row, chosen]
    found = match[match != NONE_LEFT]
    assert len(found.unique()) == len(found), "no candidate twice"


def test_many_queries_for_few_near_candidates_fall_back_to_what_is_left() -> None:
    ours = torch.zeros(50, 2)
    theirs = torch.cat([torch.zeros(5, 2), torch.arange(1.0, 61)[:, None].expand(60, 2)])
    match, distance = nearest_once(Euclidean(), ours, theirs, keep=4)
    assert sorted(match[:5].tolist()) == list(range(5))
    assert match[5:].tolist() == list(range(5, 50))
    assert distance.diff().min() >= 0
