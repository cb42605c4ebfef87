import pytest
import torch
from tests.support import Ridge, blobs, tiny_task, trained_by_hand

from unscathed import BadInputError, Cosine, Euclidean, Raw, ReserveExhaustedError, Samples, SpareSet, Trained


@pytest.fixture
def samples() -> Samples:
    return blobs(30, seed=1)


@pytest.fixture
def trained(samples: Samples) -> Trained:
    return trained_by_hand(tiny_task(), samples)


def test_twins_are_of_the_same_class_and_the_nearest(samples: Samples, trained: Trained) -> None:
    spares = blobs(60, seed=2)
    reserve = SpareSet(spares, Euclidean(Raw()))
    twins = reserve.match(samples.only(samples.ids[:1]), trained)
    (forgotten, spare), = twins.spare_of.items()  # fmt: skip
    one, other = samples.only([forgotten]), spares.only([spare])
    assert one.targets[0] == other.targets[0]
    own = spares.only([i for i, c in zip(spares.ids, spares.targets, strict=True) if c == one.targets[0]])
    assert twins.distances[forgotten] == pytest.approx(float(torch.cdist(one.inputs, own.inputs).min()), abs=1e-4)


def test_matching_changes_nothing_and_spending_does(samples: Samples, trained: Trained) -> None:
    reserve = SpareSet(blobs(60, seed=2))
    forget = samples.only(samples.ids[:6])
    twins = reserve.match(forget, trained)
    assert len(reserve) == 60
    assert reserve.match(forget, trained) == twins or reserve.match(forget, trained).spare_of == twins.spare_of
    reserve.spend(twins)
    assert len(reserve) == 54
    assert set(reserve.spent) == set(twins.spare_of.values())
    again = reserve.match(forget, trained)
    assert not set(again.spare_of.values()) & set(reserve.spent), "a spare is spent once"
    assert twins.samples is not None
    assert twins.samples.ids == tuple(twins.spare_of.values())


def test_spending_twice_or_what_is_no_spare_is_refused_and_spends_nothing(samples: Samples, trained: Trained) -> None:
    spares = blobs(60, seed=2)
    reserve = SpareSet(spares)
    twins = reserve.match(samples.only(samples.ids[:2]), trained)
    reserve.spend(twins)
    fresh = next(i for i in spares.ids if i not in reserve.spent)
    with pytest.raises(BadInputError, match="2 spares were spent before"):
        reserve.spend([fresh, *twins.spare_of.values()])
    with pytest.raises(BadInputError, match="unknown"):
        reserve.spend([fresh, "stranger"])
    assert len(reserve) == 58


def test_exhaustion_says_how_many_were_asked_for_and_are_left(samples: Samples, trained: Trained) -> None:
    reserve = SpareSet(blobs(6, seed=2))
    with pytest.raises(ReserveExhaustedError, match="30 twins were asked for, 6 are left") as caught:
        reserve.match(samples, trained)
    assert (caught.value.asked, caught.value.left) == (30, 6)
    assert "class 0 lacks 8, class 1 lacks 8, class 2 lacks 8" in str(caught.value)


def test_healing_with_what_is_left(samples: Samples, trained: Trained) -> None:
    reserve = SpareSet(blobs(6, seed=2), shortfall="partial")
    twins = reserve.match(samples, trained)
    assert len(twins) == 6
    assert set(twins.missing) | set(twins.spare_of) == set(samples.ids)
    reserve.spend(twins)
    nothing = reserve.match(samples, trained)
    assert nothing.samples is None
    assert len(nothing) == 0
    assert len(nothing.missing) == 30


def test_an_exact_copy_is_no_twin(samples: Samples, trained: Trained) -> None:
    forget = samples.only(samples.ids[:1])
    copy = Samples(forget.inputs, forget.targets, ["copy"])
    reserve = SpareSet(blobs(60, seed=2) + copy, Cosine(Raw()))
    assert list(reserve.match(forget, trained).spare_of.values()) != ["copy"]


def test_tasks_without_classes_match_among_all_spares() -> None:
    inputs = torch.arange(12.0, dtype=torch.float64).view(6, 2)
    samples = Samples(inputs, inputs[:, 0], list("abcdef"))
    trained = trained_by_hand(Ridge(2), samples)
    reserve = SpareSet(Samples(inputs + 0.1, inputs[:, 0], list("uvwxyz")), Euclidean(Raw()))
    twins = reserve.match(samples.only(["c", "a"]), trained)
    assert dict(twins.spare_of) == {"c": "w", "a": "u"}


def test_reserves_that_cannot_be() -> None:
    with pytest.raises(BadInputError) as caught:
        SpareSet(blobs(3).only([]), shortfall="maybe")  # type: ignore[arg-type]
    assert "no spares" in str(caught.value)
    assert "'maybe'" in str(caught.value)


def test_a_reserve_that_is_spent_whole_can_be_asked_by_a_model_that_has_changed() -> None:
    samples, spares = blobs(30), blobs(3, seed=1)
    models = [trained_by_hand(tiny_task(), samples, seed=seed) for seed in (0, 1)]
    reserve = SpareSet(spares, shortfall="partial")
    reserve.spend(reserve.match(samples, models[0]))
    assert len(reserve) == 0
    assert reserve.match(samples, models[1]).missing == samples.ids
