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


def test_jointly_twins_are_closer_and_nobody_is_twice(samples: Samples, trained: Trained) -> None:
    spares = blobs(60, seed=2)
    found = {}
    for assignment in ("in order", "joint"):
        reserve = SpareSet(spares, Euclidean(Raw()), assignment=assignment, radius=0.0)  # type: ignore[arg-type]
        found[assignment] = reserve.match(samples, trained)
        assert len(set(found[assignment].spare_of.values())) == 30
    assert found["joint"].mean_distance < found["in order"].mean_distance


def test_across_classes_the_nearest_may_be_of_another(samples: Samples, trained: Trained) -> None:
    spares = blobs(60, seed=2)
    twins = SpareSet(spares, Euclidean(Raw()), across_classes=True, radius=0.0).match(
        samples.at(torch.arange(1)), trained
    )
    nearest = int(torch.cdist(samples.inputs[:1], spares.inputs).argmin())
    assert twins.spare_of == {samples.ids[0]: spares.ids[nearest]}
    # A reserve of one class alone is exhausted for the others, unless classes do not count.
    only = spares.at((spares.targets == 0).nonzero().flatten())
    other = samples.at((samples.targets == 1).nonzero().flatten()[:3])
    with pytest.raises(ReserveExhaustedError, match="class 1 lacks 3"):
        SpareSet(only).match(other, trained)
    assert len(SpareSet(only, across_classes=True, radius=0.0).match(other, trained)) == 3


def test_partners_come_first_and_go_to_no_one_else(samples: Samples, trained: Trained) -> None:
    spares = blobs(60, seed=2)
    own = [i for i, c in zip(spares.ids, spares.targets, strict=True) if c == samples.targets[0]]
    plain = SpareSet(spares, Euclidean(Raw()), radius=0.0).match(samples, trained)
    farthest = max(own, key=lambda i: float((spares.only([i]).inputs - samples.inputs[:1]).norm()))
    wanted = plain.spare_of[samples.ids[3]]
    partners = {samples.ids[0]: farthest, samples.ids[6]: wanted, "not asked for": own[1]}
    twins = SpareSet(spares, Euclidean(Raw()), partners=partners, radius=0.0).match(samples, trained)
    assert (twins.spare_of[samples.ids[0]], twins.spare_of[samples.ids[6]]) == (farthest, wanted)
    assert twins.spare_of[samples.ids[3]] != wanted
    far = float((spares.only([farthest]).inputs - samples.inputs[:1]).norm())
    assert twins.distances[samples.ids[0]] == pytest.approx(far, rel=1e-5)
    assert len(set(twins.spare_of.values())) == 30
    with pytest.raises(BadInputError, match="1 partners are no spares"):
        SpareSet(spares, partners={"a": "stranger"})


def test_spares_that_are_withdrawn_are_nobodys_twin(samples: Samples, trained: Trained) -> None:
    spares = blobs(60, seed=2)
    reserve = SpareSet(spares)
    twins = reserve.match(samples.at(torch.arange(6)), trained)
    reserve.spend(twins, request="request 1")
    spent, at_hand = reserve.spent[0], reserve.unspent.ids[0]
    assert reserve.withdraw([at_hand, spent], request="its owner") == (spent,), "what is spent must be unlearned"
    assert reserve.gone[at_hand].fate == "withdrawn"
    assert reserve.gone[spent].fate == "spent"
    assert at_hand not in reserve.unspent.ids
    assert reserve.withdraw([at_hand]) == ()
    everyone = SpareSet(spares, shortfall="partial", stock=reserve.stock).match(samples, trained)
    assert at_hand not in everyone.spare_of.values()
    with pytest.raises(BadInputError, match="unknown"):
        reserve.withdraw(["stranger"])


def test_spent_spares_are_used_again_the_least_alike_first(samples: Samples, trained: Trained) -> None:
    reserve = SpareSet(blobs(30, seed=2), Euclidean(Raw()), shortfall="reuse", radius=0.0)
    first = samples.at(torch.arange(24))
    twins = reserve.match(first, trained)
    reserve.spend(twins)
    again = reserve.match(samples.at(torch.arange(24, 30)) + first.at(torch.arange(6)), trained)
    assert len(again) == 12
    assert not again.missing
    assert len(again.reused) == 6
    assert set(again.reused) <= set(twins.spare_of.values())
    assert set(again.fresh).isdisjoint(again.reused)
    far = {twins.spare_of[i]: d for i, d in twins.distances.items()}
    label = dict(zip(reserve.spares.ids, reserve.spares.targets.tolist(), strict=True))
    for spare in again.reused:
        left = [s for s in far if label[s] == label[spare] and s not in again.reused]
        assert all(far[spare] >= far[s] for s in left)
    reserve.spend(again)
    assert len(reserve) == 0, "only what was fresh is spent, once"
    nothing = reserve.match(samples, trained)
    assert len(nothing.reused) == 30
    assert SpareSet(blobs(30, seed=2), shortfall="partial", stock=reserve.stock).match(samples, trained).samples is None


def test_what_cannot_be_matched(samples: Samples, trained: Trained) -> None:
    with pytest.raises(BadInputError, match="2 problems") as caught:
        SpareSet(blobs(6)).match(samples.only([]), trained, but=["stranger"])
    assert "no forgotten samples" in str(caught.value)
    assert "unknown" in str(caught.value)


def test_a_reserve_that_is_spent_whole_and_loaded_again(samples: Samples, trained: Trained) -> None:
    gone = SpareSet(blobs(6, seed=2))
    gone.spend(gone.spares.ids)
    again = SpareSet(blobs(6, seed=2), shortfall="partial", stock=gone.stock)
    twins = again.match(samples.at(torch.arange(3)), trained, distinct=samples.at(torch.arange(3, 30)))
    assert (len(twins), len(twins.missing)) == (0, 3)


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
