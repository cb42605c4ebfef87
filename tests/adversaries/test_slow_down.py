"""Requests that cost the most, against brute force."""

import itertools

import pytest
from tests.support import blobs, tiny_task, trained_by_hand

from unscathed import BadInputError, Recipe, Sisa, Trained, expected_cost, request_cost
from unscathed.adversaries import BlindView, EarliestSlices, LayoutView

SAMPLES = blobs(24)


@pytest.fixture(scope="module")
def sharded() -> Trained:
    return Sisa(shards=3, slices=2).fit(tiny_task(), SAMPLES, Recipe(epochs=2, batch_size=8), seed=0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_request_of_that_size_costs_more(count: int, sharded: Trained) -> None:
    chosen = EarliestSlices(count).choose(LayoutView(sharded, SAMPLES))
    assert len(set(chosen)) == count
    most = max(request_cost(sharded.shards, r) for r in itertools.combinations(SAMPLES.ids, count))
    assert request_cost(sharded.shards, chosen) == most
    assert most > 1.1 * expected_cost(24, shards=3, slices=2, requests=count), "more than random ones"


def test_one_a_shard_costs_as_much_as_training(sharded: Trained) -> None:
    chosen = EarliestSlices(3).choose(LayoutView(sharded, SAMPLES))
    # Of the 24 samples 21 are left; an epoch of stages over slices 1 and 1 to 2 shows each of them once, about.
    assert request_cost(sharded.shards, chosen) == pytest.approx(21, abs=1)


def test_later_slices_come_last_and_none_twice(sharded: Trained) -> None:
    chosen = EarliestSlices(23).choose(LayoutView(sharded, SAMPLES))
    first = {i for shard in sharded.shards for i in shard[0]}
    assert set(chosen[:12]) == first
    assert len(set(chosen)) == 23


def test_it_sees_where_its_own_samples_are_and_no_more(sharded: Trained) -> None:
    own = SAMPLES.only(SAMPLES.ids[:7])
    view = LayoutView(sharded, own)
    assert sorted(i for shard in view.layout for part in shard for i in part) == sorted(own.ids)
    assert set(EarliestSlices(6).choose(view)) <= set(own.ids)
    for beyond in ("model", "outputs", "trained", "weights", "__dict__"):
        with pytest.raises(AttributeError):
            getattr(view, beyond)


def test_a_model_without_shards_is_refused(sharded: Trained) -> None:
    single = trained_by_hand(tiny_task(), SAMPLES)
    with pytest.raises(BadInputError, match="not trained in shards"):
        EarliestSlices(3).choose(LayoutView(single, SAMPLES))
    with pytest.raises(BadInputError, match="needs a LayoutView"):
        EarliestSlices(3).choose(BlindView(SAMPLES))  # type: ignore[arg-type]
