import pytest
import torch
from tests.support import blobs, tiny_task, trained_by_hand
from torch import Tensor

from unscathed import BadInputError, Cosine, Raw, Samples, Siamese, SpareSet, Trained
from unscathed.similarity import Similarity
from unscathed.similarity.siamese import _Pairs, contrast, distorted

CLASSES, USEFUL, LOUD = 4, 8, 40


def drowned(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Vectors whose classes lie well apart in 8 directions, under 40 others of five times the spread that say nothing.

    One class mean is some 4 deviations from another; the loud directions add 40 · 25 to the variance. All are turned,
    so that it does not help to scale entries.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    means = 3 * torch.eye(CLASSES, USEFUL)
    useful = means[labels] + torch.randn(count, USEFUL, generator=generator)
    vectors = torch.cat([useful, 5 * torch.randn(count, LOUD, generator=generator)], dim=1)
    turn = torch.linalg.qr(torch.randn(USEFUL + LOUD, USEFUL + LOUD, generator=torch.Generator().manual_seed(9))).Q
    return vectors @ turn, labels


def purity(similarity: Similarity, fitted: tuple[Tensor, Tensor], shown: Tensor | None = None) -> float:
    """The share of new vectors whose nearest fitted one is of their class.

    Args:
        similarity: the distance.
        fitted: vectors and their classes.
        shown: the classes that the similarity is told instead.
    """
    vectors, labels = fitted
    metric = similarity.fit(vectors, labels if shown is None else shown)
    asked, own = drowned(400, seed=1)
    near = torch.cdist(metric.place(asked), metric.place(vectors)).argmin(dim=1)
    return float((labels[near] == own).float().mean())


def test_pairs_of_classes_learn_to_ignore_loud_directions_and_shuffled_classes_teach_nothing() -> None:
    fitted = drowned(1200, seed=0)
    learned = Siamese(Raw(), pairs="class", steps=150)
    shuffled = fitted[1][torch.randperm(1200, generator=torch.Generator().manual_seed(2))]
    plain, taught, misled = purity(Cosine(Raw()), fitted), purity(learned, fitted), purity(learned, fitted, shuffled)
    assert plain < 0.45, "the case must be hard for cosine"
    assert taught > 0.75
    assert misled < plain + 0.05


def test_pairs_of_one_vector_tell_vectors_of_a_class_apart_where_pairs_of_classes_do_not() -> None:
    vectors, labels = drowned(400, seed=0)
    noise = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(3))
    first = labels == 0

    def found(pairs: str, shown: Tensor | None) -> float:
        """The share of vectors of a class that, with much noise added, are still nearest to what they were."""
        metric = Siamese(Raw(), pairs=pairs, steps=150).fit(vectors, shown)  # type: ignore[arg-type]
        far = torch.cdist(metric.place((vectors + 2.5 * noise)[first]), metric.place(vectors[first]))
        return float((far.argmin(dim=1) == torch.arange(len(far))).float().mean())

    kept = found("self", labels)
    assert kept > 0.9
    assert found("self", None) > 0.9, "it needs no classes"
    assert found("class", labels) < kept - 0.1


def test_hard_negatives_are_the_nearest_of_another_group_and_of_the_own_class() -> None:
    classes = torch.tensor([0, 0, 0, 1, 1, 1])
    near = torch.tensor([[1.0, 0.5, 0.2, 0.9, 0.1, 0.3]])
    anchor, pool = torch.tensor([0]), torch.arange(6)
    own = torch.arange(6)
    assert _Pairs(classes, None).hardest(near, anchor, pool, 2).tolist() == [3, 5]
    assert _Pairs(own, classes).hardest(near, anchor, pool, 3).tolist() == [1, 2]
    assert _Pairs(own, None).hardest(near, anchor, pool, 2).tolist() == [3, 1]
    random = torch.Generator().manual_seed(0)
    drawn = {int(_Pairs(classes, None).positives(torch.tensor([4]), random)) for _ in range(40)}
    assert drawn == {3, 4, 5}
    assert _Pairs(own, classes).positives(pool, torch.Generator()).tolist() == pool.tolist()


def test_the_loss_is_that_of_the_source_and_spares_those_of_the_own_group() -> None:
    generator = torch.Generator().manual_seed(0)
    places = torch.nn.functional.normalize(torch.randn(6, 3, generator=generator), dim=1)
    anchors, met = places[:2], places[1:5]
    common = torch.tensor([[True, False, True, False], [True, True, False, False]])
    e = (anchors @ met.T / 0.5).exp()
    expected = -(e[0, 0] / (e[0, 0] + e[0, 1] + e[0, 3])).log() - (e[1, 1] / (e[1, 1] + e[1, 2] + e[1, 3])).log()
    torch.testing.assert_close(contrast(anchors, met, common, 0.5), expected / 2)


def test_distorted_copies_are_what_pairs_of_one_vector_and_no_others_learn_from() -> None:
    copies = distorted(torch.full((400, 100), 2.0), 0.3, torch.Generator().manual_seed(0))
    dropped = copies == 0
    assert float(dropped.float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(copies[~dropped].std()) == pytest.approx(0.3, abs=0.01)
    vectors, labels = drowned(60, seed=0)
    for pairs, same in (("class", True), ("self", False)):
        one, other = (Siamese(pairs=pairs, steps=3, distortion=d).fit(vectors, labels) for d in (0.1, 0.3))  # type: ignore[arg-type]
        assert torch.equal(one.place(vectors), other.place(vectors)) == same


@pytest.mark.parametrize("pairs", ["class", "self"])
def test_the_distance_is_symmetric_nothing_at_all_to_oneself_and_as_cosines(pairs: str) -> None:
    vectors, labels = drowned(60, seed=0)
    metric = Siamese(Raw(), pairs=pairs, steps=5).fit(vectors, labels)  # type: ignore[arg-type]
    places = metric.place(vectors)
    far = metric.distance((places[:, None] - places[None]).square().sum(-1))
    torch.testing.assert_close(far, far.T, rtol=0, atol=0)
    assert (far.diag() == 0).all()
    assert (far[~torch.eye(60, dtype=torch.bool)] > 0).all()
    torch.testing.assert_close(far, 1 - places @ places.T, rtol=0, atol=1e-5)
    assert not places.requires_grad


def test_the_seed_decides_and_the_global_random_state_does_not_and_stays() -> None:
    vectors, labels = drowned(60, seed=0)
    before = torch.get_rng_state()
    first = Siamese(steps=5).fit(vectors, labels).place(vectors)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    with torch.no_grad():
        assert torch.equal(Siamese(steps=5).fit(vectors, labels).place(vectors), first)
    assert not torch.equal(Siamese(steps=5, seed=1).fit(vectors, labels).place(vectors), first)


def test_entries_that_never_varied_do_not_run_away() -> None:
    vectors, labels = drowned(60, seed=0)
    vectors[:, 0] = 0
    metric = Siamese(steps=5).fit(vectors, labels)
    moved = vectors.clone()
    moved[:, 0] = 1
    near = (metric.place(moved) * metric.place(vectors)).sum(dim=1)
    assert near.min() > 0.5


def test_twins_by_a_learned_distance() -> None:
    samples, spares = blobs(30, seed=1), blobs(60, seed=2)
    trained: Trained = trained_by_hand(tiny_task(), samples)
    forget: Samples = samples.only(samples.ids[:6])
    found = {pairs: SpareSet(spares, Siamese(Raw(), pairs=pairs, steps=20)) for pairs in ("class", "self")}  # type: ignore[arg-type]
    for reserve in found.values():
        twins = reserve.match(forget, trained)
        assert len(twins) == 6
        for one, other in twins.spare_of.items():
            assert samples.only([one]).targets == spares.only([other]).targets
        assert reserve.match(forget, trained).spare_of == twins.spare_of
        metric = reserve.vectors.metric
        one, other = next(iter(twins.spare_of.items()))
        far = (metric.place(samples.only([one]).inputs) - metric.place(spares.only([other]).inputs)).square().sum()
        assert twins.distances[one] == pytest.approx(float(metric.distance(far)), abs=1e-5)


def test_what_cannot_be_used_or_learned_from_is_refused() -> None:
    with pytest.raises(BadInputError, match="6 problems"):
        Siamese(pairs="own", width=1, steps=0, temperature=0, hard_negatives=-1, distortion=1)  # type: ignore[arg-type]
    vectors, labels = drowned(20, seed=0)
    with pytest.raises(BadInputError, match="7 vectors are too few"):
        Siamese().fit(vectors[:7], labels[:7])
    with pytest.raises(BadInputError, match="do not vary"):
        Siamese().fit(torch.ones(20, 3), None)
    with pytest.raises(BadInputError, match="needs classes"):
        Siamese(pairs="class").fit(vectors, None)
    with pytest.raises(BadInputError, match="two classes"):
        Siamese(pairs="class").fit(vectors, torch.zeros_like(labels))
