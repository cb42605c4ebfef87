import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from unscathed import Euclidean
from unscathed.reserve.assignment import NONE_LEFT, in_order, jointly
from unscathed.reserve.candidates import Candidates
from unscathed.reserve.search import nearest


def among(vectors: torch.Tensor) -> Candidates:
    return Candidates(vectors, Euclidean().fit(vectors, None))


def everyone(vectors: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(vectors), dtype=torch.bool)


def brute_force(queries: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    return torch.stack([(candidates - q).square().sum(1) for q in queries]) if len(queries) else torch.empty(0)


def one_by_one(squared: torch.Tensor, open_to: torch.Tensor) -> list[int]:
    """The paper's rule, literally: each query takes the nearest candidate that is left."""
    left = open_to.nonzero().flatten().tolist()
    taken = []
    for row in squared:
        best = min(left, key=lambda c: (float(row[c]), c), default=NONE_LEFT)
        taken.append(best)
        if left:
            left.remove(best)
    return taken


def places(
    queries: int, candidates: int, dimensions: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ours = torch.randn(queries, dimensions, generator=generator)
    theirs = torch.randn(candidates, dimensions, generator=generator)
    return ours, theirs, torch.rand(candidates, generator=generator) < 0.7


SIZES = (st.integers(1, 40), st.integers(1, 60), st.integers(1, 3), st.integers(0, 999))


@given(*SIZES, st.sampled_from([1, 2, 5, 64]), st.sampled_from([1, 7, 8192]))
def test_the_nearest_are_those_of_brute_force(
    queries: int, candidates: int, dimensions: int, seed: int, count: int, block: int
) -> None:
    ours, theirs, open_to = places(queries, candidates, dimensions, seed)
    found, squared = nearest(ours, among(theirs), count, open_to=open_to, block=block)
    expected = brute_force(ours, theirs)
    expected[:, ~open_to] = torch.inf
    best = expected.sort(dim=1, stable=True)
    kept = min(count, int(open_to.sum()))
    assert torch.equal(squared, best.values[:, :kept])
    assert torch.equal(found, best.indices[:, :kept])


@given(*SIZES, st.sampled_from([1, 2, 5, 64]))
def test_each_query_takes_the_nearest_that_is_left(
    queries: int, candidates: int, dimensions: int, seed: int, keep: int
) -> None:
    ours, theirs, open_to = places(queries, candidates, dimensions, seed)
    match, squared = in_order(ours, among(theirs), open_to, keep=keep)
    expected = brute_force(ours, theirs)
    assert match.tolist() == one_by_one(expected, open_to)
    check_match(match, squared, expected)


@given(*SIZES, st.sampled_from([1, 2, 5, 64]), st.sampled_from([None, torch.sqrt]))
def test_jointly_no_assignment_is_better(
    queries: int, candidates: int, dimensions: int, seed: int, keep: int, cost: object
) -> None:
    ours, theirs, open_to = places(queries, candidates, dimensions, seed)
    match, squared = jointly(ours, among(theirs), open_to, keep=keep, cost=cost)  # type: ignore[arg-type]
    expected = brute_force(ours, theirs)
    check_match(match, squared, expected)
    assert open_to[match[match != NONE_LEFT]].all()
    costs = expected if cost is None else expected.sqrt()
    rows, columns = linear_sum_assignment(costs[:, open_to].double().numpy())
    ours_in_all = (squared if cost is None else squared.sqrt())[match != NONE_LEFT].double().sum()
    torch.testing.assert_close(ours_in_all, costs[:, open_to].double()[rows, columns].sum(), rtol=1e-5, atol=1e-5)
    assert int((match != NONE_LEFT).sum()) == len(rows)


def check_match(match: torch.Tensor, squared: torch.Tensor, expected: torch.Tensor) -> None:
    found = match[match != NONE_LEFT]
    assert len(found.unique()) == len(found), "no candidate twice"
    for row, chosen in enumerate(match.tolist()):
        assert torch.isnan(squared[row]) if chosen == NONE_LEFT else squared[row] == expected[row, chosen]


def test_many_queries_for_few_near_candidates_fall_back_to_what_is_left() -> None:
    ours = torch.zeros(50, 2)
    theirs = torch.cat([torch.zeros(5, 2), torch.arange(1.0, 61)[:, None].expand(60, 2)])
    match, distance = in_order(ours, among(theirs), everyone(theirs), keep=4)
    assert match.tolist() == list(range(50))
    assert distance.diff().min() >= 0


def test_the_order_of_candidates_does_not_matter_where_none_are_equally_near() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(30, 4, generator=generator), torch.randn(200, 4, generator=generator)
    shuffled = torch.randperm(200, generator=generator)
    for assign in (in_order, jointly):
        plain, other = (assign(ours, among(t), everyone(t), keep=3) for t in (theirs, theirs[shuffled]))
        assert torch.equal(shuffled[other[0]], plain[0])
        assert torch.equal(other[1], plain[1])


def test_copies_of_one_candidate_are_each_taken_once() -> None:
    ours, theirs = torch.zeros(30, 2), torch.ones(40, 2)
    for assign in (in_order, jointly):
        match, squared = assign(ours, among(theirs), everyone(theirs), keep=2)
        assert len(match.unique()) == 30
        assert torch.equal(squared, torch.full((30,), 2.0))
