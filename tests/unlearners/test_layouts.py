"""Layouts are partitions, balanced, and keep together what is asked for together."""

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support import blobs, tiny_task

from unscathed import BadInputError, Recipe, Samples, Sisa, by_requester, expected_cost, request_cost
from unscathed.unlearners.layouts import Layout, at_random, first_touched, flat, without


def some_samples(count: int) -> Samples:
    return Samples(torch.zeros(count, 1), ids=range(count))


def sizes(layout: Layout) -> list[int]:
    return [sum(map(len, slices)) for slices in layout]


def shards_of(layout: Layout) -> dict[str, int]:
    return {i: shard for shard, slices in enumerate(layout) for part in slices for i in part}


def slices_of(layout: Layout) -> dict[str, int]:
    return {i: stage for slices in layout for stage, part in enumerate(slices) for i in part}


def groups_of(requesters: Mapping[str, int], samples: Samples) -> list[list[str]]:
    """Each requester's samples; those without a requester one by one."""
    named = [[i for i, who in requesters.items() if who == each] for each in sorted(set(requesters.values()))]
    return named + [[i] for i in samples.ids if i not in requesters]


# Requesters by their numbers of samples, and how many samples have none.
REQUESTERS = st.lists(st.integers(1, 25), max_size=12)
LIKELIHOODS = st.lists(st.floats(0, 5), min_size=12, max_size=12)


@given(
    counts=REQUESTERS,
    alone=st.integers(0, 30),
    shards=st.integers(1, 5),
    slices=st.integers(1, 4),
    likelihoods=LIKELIHOODS,
    seed=st.integers(0, 5),
)
def test_by_requester(
    counts: list[int], alone: int, shards: int, slices: int, likelihoods: list[float], seed: int
) -> None:
    total = sum(counts) + alone
    if total == 0:
        return
    samples = some_samples(total)
    owners = [who for who, count in enumerate(counts) for _ in range(count)]
    requesters = dict(zip(samples.ids, owners, strict=False))
    likelihood = dict(zip(range(len(counts)), likelihoods, strict=False))
    try:
        layout = by_requester(samples, requesters, shards=shards, slices=slices, likelihood=likelihood, seed=seed)
    except BadInputError as error:
        assert total < shards * slices or max(counts) > 1, str(error)  # noqa: PT017
        return

    # A partition, of the shape asked for.
    assert sorted(flat(layout)) == sorted(samples.ids)
    assert [len(shard) for shard in layout] == [slices] * shards
    assert all(part for shard in layout for part in shard), "no slice is empty"

    # Whoever fits into a shard is in one; the others are in no more than they need.
    shard_of, slice_of = shards_of(layout), slices_of(layout)
    groups = groups_of(requesters, samples)
    share = total // shards
    for group in groups:
        assert len({shard_of[i] for i in group}) <= -(-len(group) // share)
    # Balanced: no further from an equal share than the largest group, or piece of one, has samples.
    largest = min(share, max(map(len, groups)))
    assert all(abs(size - total / shards) <= largest for size in sizes(layout))

    # The likelier to leave, the later: shards one after the other, and in each of them slices.
    def rank(sample: str) -> float:
        return likelihood[requesters[sample]] if sample in requesters else 0.0

    ranks = [rank(i) for i in flat(layout)]
    assert ranks == sorted(ranks)
    # In its shard, it lies in as few slices as its size allows.
    for shard, held in enumerate(sizes(layout)):
        for group in groups:
            own = [i for i in group if shard_of[i] == shard and len(group) <= share]
            assert len({slice_of[i] for i in own}) <= -(-len(own) // (held // slices))


@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 4), st.integers(0, 5))
def test_at_random(count: int, shards: int, slices: int, seed: int) -> None:
    samples = some_samples(count)
    if count < shards * slices:
        with pytest.raises(BadInputError, match=f"{count} samples are too few for {shards} × {slices} slices"):
            at_random(samples, shards=shards, slices=slices, seed=seed)
        return
    layout = at_random(samples, shards=shards, slices=slices, seed=seed)
    assert sorted(flat(layout)) == sorted(samples.ids)
    for parts in (sizes(layout), *([len(p) for p in shard] for shard in layout)):
        assert max(parts) - min(parts) <= 1


def test_without_a_layout_samples_are_placed_at_random() -> None:
    trained = Sisa(shards=2, slices=3).fit(tiny_task(), blobs(), Recipe(steps=2), seed=4)
    assert trained.shards == at_random(blobs(), shards=2, slices=3, seed=4)


def test_layouts_follow_from_the_seed() -> None:
    samples = some_samples(40)
    requesters = {i: p // 4 for p, i in enumerate(samples.ids)}

    def drawn(seed: int) -> Layout:
        torch.seed()
        return by_requester(samples, requesters, shards=3, slices=2, seed=seed)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert at_random(samples, shards=3, slices=2, seed=1) != at_random(samples, shards=3, slices=2, seed=2)


def test_a_requester_is_not_taken_for_a_sample_of_the_same_name() -> None:
    samples = some_samples(12)
    layout = by_requester(samples, {"3": "5", "4": "5", "6": "5"}, shards=4, slices=1, likelihood={"5": 1.0})
    assert set(layout[3][0]) == {"3", "4", "6"}


def test_likely_leavers_share_the_last_slices_and_cost_least() -> None:
    samples = some_samples(400)
    requesters = {i: p // 10 for p, i in enumerate(samples.ids)}
    leaving = {3: 0.9, 8: 0.9, 20: 0.8, 31: 0.7}
    forget = [i for i, who in requesters.items() if who in leaving]
    layout = by_requester(samples, requesters, shards=5, slices=4, likelihood=leaving)
    assert first_touched(layout, set(forget)) == {4: 2}, "forty samples are the last two of twenty slices"
    at_random_cost = expected_cost(400, shards=5, slices=4, requests=len(forget))
    # 2 / 5 of an epoch for the last two stages, which see 40 and 40 samples of the 80.
    assert request_cost(layout, forget) == pytest.approx(2 / 5 * (40 + 40))
    assert request_cost(layout, forget) < 0.1 * at_random_cost


def test_what_cannot_be_laid_out_is_said_at_once() -> None:
    samples = some_samples(10)
    with pytest.raises(BadInputError) as caught:
        by_requester(
            samples,
            {"0": "ann", "nobody": "bob"},
            shards=6,
            slices=2,
            likelihood={"ann": -1.0, "bob": float("nan"), "cid": 1.0},
        )
    text = str(caught.value)
    assert "10 samples are too few for 6 × 2 slices" in text
    assert "1 ids are unknown ('nobody')" in text
    assert "1 requesters of no sample ('cid')" in text
    assert "likelihoods of 'ann', 'bob' must be finite and at least 0" in text
    # Two alone, three of bob's, three of ann's: the nearest place to the middle leaves the last shard ann's three.
    requesters = dict.fromkeys("012", "ann") | dict.fromkeys("345", "bob")
    with pytest.raises(BadInputError, match=r"shards \[1\] would have fewer samples than slices"):
        by_requester(some_samples(8), requesters, shards=2, slices=4, likelihood={"ann": 2, "bob": 1})


def test_a_layout_that_is_not_of_these_samples_is_refused() -> None:
    samples = blobs(12)
    layout = at_random(samples, shards=2, slices=2, seed=0)
    first = layout[0][0][0]
    wrong = (((first, first), ("stranger",)), ((), ()))
    with pytest.raises(BadInputError) as caught:
        Sisa(shards=2, slices=3).fit(tiny_task(), samples, layout=wrong)
    text = str(caught.value)
    assert "the layout has 2 shards (2 + 2 slices); give 2 × 3" in text
    assert "shards [1] of the layout are empty" in text
    assert f"1 ids are placed more than once ('{first}')" in text
    assert "1 ids are not among the samples ('stranger')" in text
    assert "11 ids are not placed" in text
    # Slices may be empty: what is left of a layout is one.
    left = without(layout, set(layout[0][0]))
    kept = samples.only([i for i in samples.ids if i in set(flat(left))])
    trained = Sisa(shards=2, slices=2).fit(tiny_task(), kept, Recipe(steps=2), layout=left)
    assert trained.shards == left
