"""Who asks, when and for what."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support import blobs

from unscathed import BadInputError, BlindView, Samples
from unscathed.adversaries import Adversary, EarliestSlices, OneClass, Random, WholeHoldings
from unscathed.streams import Benign, Hostile, Request, Requester, Stream

SAMPLES = blobs(600)


def nothing_known(adversary: Adversary[Any], own: Samples) -> BlindView:
    return BlindView(own)


def sent(
    stream: Stream,
    *,
    seed: int = 0,
    samples: Samples = SAMPLES,
    view_of: Callable[[Adversary[Any], Samples], BlindView] = nothing_known,
) -> list[tuple[Request, ...]]:
    """All batches of a stream, each honoured before the next comes."""
    gone: list[str] = []

    def left() -> Samples:
        return samples.without(gone)

    found = []
    for batch in stream.batches(samples, left, view_of, seed=seed):
        gone += [i for request in batch for i in request.ids]
        found.append(batch)
    return found


def requests_of(batches: list[tuple[Request, ...]]) -> list[Request]:
    return [request for batch in batches for request in batch]


def test_a_seed_gives_a_stream() -> None:
    stream = Stream([Benign(), Hostile(Random(3))], requests=20)
    assert sent(stream) == sent(stream)
    assert sent(stream) != sent(stream, seed=1)


def test_rates_mix_requesters_and_space_requests() -> None:
    found = requests_of(sent(Stream([Benign(3.0), Hostile(Random(1), 1.0)], requests=400)))
    # A quarter of 400, ± four standard deviations of 8.7.
    assert 65 < sum(r.hostile for r in found) < 135
    assert all(r.hostile == (r.requester == 1) for r in found)
    times = [r.time for r in found]
    assert times == sorted(times)
    # Four a unit of time: the mean gap is 0.25, ± four standard errors of 0.0125.
    assert times[-1] / 400 == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("batch", [1, 3])
def test_nothing_is_asked_for_twice(batch: int) -> None:
    batches = sent(Stream([Benign(2.0), Hostile(OneClass(5)), Hostile(Random(4))], requests=50, batch=batch))
    asked = [i for request in requests_of(batches) for i in request.ids]
    assert len(asked) == len(set(asked)) > 50
    assert [len(b) for b in batches] == [batch] * (50 // batch) + [50 % batch] * (50 % batch > 0)


def test_who_leaves_takes_along_all_that_is_theirs() -> None:
    owners = {i: f"person {n % 7}" for n, i in enumerate(SAMPLES.ids[:70])}
    found = requests_of(sent(Stream([Benign(owners=owners)], requests=537)))
    holdings = [frozenset(r.ids) for r in found if len(r.ids) > 1]
    assert sorted(map(sorted, holdings)) == sorted(sorted(SAMPLES.ids[n:70:7]) for n in range(7))
    # The other 530 own one sample each; one of all must remain.
    assert len(found) == 536


def test_an_adversary_asks_for_its_own_alone() -> None:
    found = requests_of(sent(Stream([Hostile(Random(10), owns=0.1)], requests=100)))
    asked = {i for r in found for i in r.ids}
    assert len(asked) == 60, "the tenth that it owns, to the last"
    other = requests_of(sent(Stream([Hostile(Random(10), owns=0.1)], requests=100), seed=1))
    assert asked != {i for r in other for i in r.ids}


def test_an_adversary_that_adapts_looks_before_each_request() -> None:
    looks: list[int] = []

    def view_of(adversary: Adversary[Any], own: Samples) -> BlindView:
        looks.append(len(own))
        return BlindView(own)

    sent(Stream([Hostile(Random(10))], requests=3), view_of=view_of)
    assert looks == [600, 600, 590, 580], "once whether it can, before anything is asked for"
    looks.clear()
    beforehand = sent(Stream([Hostile(Random(10), requests=3, adaptive=False)], requests=3), view_of=view_of)
    assert looks == [600]
    assert [len(r.ids) for r in requests_of(beforehand)] == [10, 10, 10]


def test_what_is_chosen_beforehand_is_asked_for_in_order() -> None:
    class InOrder(Adversary[BlindView]):
        def _choose(self, view: BlindView, count: int) -> tuple[str, ...]:
            return view.samples.ids[:count]

    found = requests_of(sent(Stream([Hostile(InOrder(2), requests=3, adaptive=False)], requests=9)))
    assert [r.ids for r in found] == [SAMPLES.ids[0:2], SAMPLES.ids[2:4], SAMPLES.ids[4:6]]


def test_an_adversary_stops_after_its_requests() -> None:
    found = requests_of(sent(Stream([Hostile(Random(2), 5.0, requests=4), Benign(0.1)], requests=30)))
    assert sum(r.hostile for r in found) == 4
    assert len(found) == 30


def test_one_sample_always_remains() -> None:
    few = blobs(12)
    for requester in (Benign(), Hostile(Random(5)), Hostile(Random(4), requests=3, adaptive=False)):
        asked = [i for r in requests_of(sent(Stream([requester], requests=100), samples=few)) for i in r.ids]
        assert len(asked) == len(set(asked)) < 12


@pytest.mark.parametrize(
    ("adversary", "problem"),
    [(EarliestSlices(3), "it needs a LayoutView"), (WholeHoldings(3), "owners"), (Random(600), "leaves none of 600")],
    ids=["view", "owners", "budget"],
)
def test_what_an_adversary_lacks_is_said_at_once(adversary: Adversary[Any], problem: str) -> None:
    with pytest.raises(BadInputError, match=problem):
        sent(Stream([Benign(), Hostile(adversary)], requests=3))


@pytest.mark.parametrize("requests", [1, 4])
def test_it_stops_where_it_finds_nothing_any_more_but_not_at_the_start(requests: int) -> None:
    class Fastidious(Adversary[BlindView]):
        def _choose(self, view: BlindView, count: int) -> tuple[str, ...]:
            if len(view.samples) <= 600 - 2 * requests + 2:
                raise BadInputError("cannot attack", ["nothing here is good enough"])
            return view.samples.ids[:count]

    stream = Stream([Hostile(Fastidious(2)), Benign(0.001)], requests=9)
    if requests == 1:
        with pytest.raises(BadInputError, match="good enough"):
            sent(stream)
    else:
        assert sum(r.hostile for r in requests_of(sent(stream))) == requests - 1


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Benign(0.0), "rate=0.0"),
        (lambda: Benign(float("nan")), "rate=nan"),
        (lambda: Hostile(Random(3), owns=0.0), "owns=0.0"),
        (lambda: Hostile(Random(3), requests=0), "requests=0"),
        (lambda: Hostile(Random(3), adaptive=False), "requests=…"),
        (lambda: Hostile(Random(0.1), requests=3, adaptive=False), "a budget in samples"),
        (lambda: Stream([], requests=1), "no requesters"),
        (lambda: Stream([Random(3)], requests=1), "wrap an adversary"),  # type: ignore[list-item]
        (lambda: Stream([Benign()], requests=1.5), "requests=1.5"),  # type: ignore[arg-type]
        (lambda: Stream([Benign()], requests=0), "requests=0"),
        (lambda: Stream([Benign()], requests=1, batch=0), "batch=0"),
    ],
)
def test_streams_that_cannot_be(make: Callable[[], Requester | Stream], problem: str) -> None:
    with pytest.raises(BadInputError, match=problem):
        make()
