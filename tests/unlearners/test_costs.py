"""What unlearning is said to cost is what it costs: by enumeration, and measured."""

import statistics
from itertools import combinations, permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support import blobs, tiny_task

from unscathed import BadInputError, Recipe, Samples, Sisa, Trained, expected_cost, request_cost
from unscathed.unlearners.layouts import at_random, without


def counted(layout: tuple[tuple[tuple[str, ...], ...], ...], forget: set[str], epochs: float) -> float:
    """Train again by hand: every shard from scratch in stages, counting those that show another set than before."""
    cost = 0.0
    for slices in layout:
        for stage in range(1, len(slices) + 1):
            before = {i for part in slices[:stage] for i in part}
            if before & forget:
                cost += epochs * 2 / (len(slices) + 1) * len(before - forget)
    return cost


SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 3)).map(lambda s: (s[0] * s[1] + s[2], *s[:2]))


@given(shape=SHAPES, requests=st.integers(0, 3), epochs=st.floats(0.5, 20))
def test_the_expectation_is_the_mean_over_all_requests(
    shape: tuple[int, int, int], requests: int, epochs: float
) -> None:
    count, shards, slices = shape
    requests = min(requests, count)
    samples = Samples(torch.zeros(count, 1), ids=range(count))
    layout = at_random(samples, shards=shards, slices=slices)

    at_once = [counted(layout, set(chosen), epochs) for chosen in combinations(samples.ids, requests)]
    expected = expected_cost(count, shards=shards, slices=slices, requests=requests, epochs=epochs)
    assert expected == pytest.approx(statistics.fmean(at_once), rel=1e-10, abs=1e-10)
    assert expected <= epochs * count + 1e-9, "never more than training"
    for chosen, cost in zip(combinations(samples.ids, requests), at_once, strict=True):
        assert request_cost(layout, chosen, epochs=epochs) == pytest.approx(cost, rel=1e-10)

    one_by_one = []
    for chosen in permutations(samples.ids, requests):
        gone: set[str] = set()
        total = 0.0
        for sample in chosen:
            total += counted(without(layout, gone), {sample}, epochs)
            gone.add(sample)
        one_by_one.append(total)
    found = expected_cost(count, shards=shards, slices=slices, requests=requests, epochs=epochs, at_once=False)
    assert found == pytest.approx(statistics.fmean(one_by_one), rel=1e-10, abs=1e-10)
    if requests > 1:
        assert found >= expected - 1e-9, "at once is never dearer"


@pytest.mark.parametrize(("shards", "slices"), [(1, 1), (1, 8), (5, 1), (20, 10)])
def test_one_request_of_many_samples_costs_what_the_paper_says(shards: int, slices: int) -> None:
    expected = expected_cost(10**6, shards=shards, slices=slices, epochs=3)
    assert expected == pytest.approx(3 * 10**6 / shards * (2 / 3 + 1 / (3 * slices)), rel=1e-4)
    many = expected_cost(10**6, shards=shards, slices=1, requests=40, epochs=3)
    hit = shards * (1 - (1 - 1 / shards) ** 40)
    assert many == pytest.approx(3 * 10**6 / shards * hit, rel=1e-3)


def measured(trained: Trained, samples: Samples, requests: list[list[str]]) -> tuple[float, float, float]:
    """Means over real unlearnings: samples that went through training, steps, and what each was to cost."""
    sisa = Sisa(shards=len(trained.shards), slices=len(trained.shards[0]))
    events = [sisa.unlearn(trained, samples, forget).history[-1] for forget in requests]
    assert trained.recipe.epochs is not None
    costs = [request_cost(trained.shards, forget, epochs=trained.recipe.epochs) for forget in requests]
    seen = [event.details["sample_epochs"] for event in events]
    return statistics.fmean(seen), statistics.fmean(event.steps for event in events), statistics.fmean(costs)


@pytest.mark.parametrize(("shards", "slices"), [(1, 1), (2, 3), (4, 2)])
def test_one_real_request_costs_what_is_expected(shards: int, slices: int) -> None:
    """One sample of each slice stands for all samples."""
    samples = blobs(480)
    trained = Sisa(shards=shards, slices=slices).fit(tiny_task(), samples, Recipe(epochs=4, batch_size=4))
    fitted = trained.history[0]
    assert fitted.details["sample_epochs"] == fitted.steps * 4 == pytest.approx(4 * 480, rel=0.01)
    seen, steps, _ = measured(trained, samples, [[part[0]] for shard in trained.shards for part in shard])
    expected = expected_cost(480, shards=shards, slices=slices, epochs=4)
    assert seen == steps * 4 == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("shards", "slices", "requests"), [(4, 2, 3), (3, 4, 6)])
def test_real_batches_of_requests_cost_what_is_expected(shards: int, slices: int, requests: int) -> None:
    samples = blobs(480)
    trained = Sisa(shards=shards, slices=slices).fit(tiny_task(), samples, Recipe(epochs=2, batch_size=4))
    generator = torch.Generator().manual_seed(0)
    drawn = [
        [samples.ids[p] for p in torch.randperm(480, generator=generator)[:requests].tolist()] for _ in range(1500)
    ]
    # Each costs its own; what an epoch leaves out is a remainder of a batch.
    seen, steps, cost = measured(trained, samples, drawn[:20])
    assert seen == steps * 4 == pytest.approx(cost, rel=0.03)
    # Twenty would leave the mean uncertain by 4 %.
    expected = expected_cost(480, shards=shards, slices=slices, requests=requests, epochs=2)
    mean = statistics.fmean(request_cost(trained.shards, forget, epochs=2) for forget in drawn)
    assert mean == pytest.approx(expected, rel=0.015)


def test_numbers_that_cannot_be() -> None:
    with pytest.raises(BadInputError) as caught:
        expected_cost(5, shards=3, slices=2, requests=6, epochs=0)
    text = str(caught.value)
    assert "5 samples are too few for 3 × 2 slices" in text
    assert "requests=6 must lie in 0…5" in text
    assert "epochs=0 must be positive" in text
    with pytest.raises(BadInputError, match="must be at least 1"):
        expected_cost(5, shards=0, slices=2)
