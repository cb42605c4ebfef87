from math import comb

import pytest
import torch
from tests.support import blobs, ridge_trained, tiny_task, trained_by_hand

from unscathed import BadInputError, Recipe, Samples, SpareSet, Trained, fit
from unscathed.adversaries import BlindView, OneClass, Random
from unscathed.healing import Typicality, typical_spares
from unscathed.healing.typicality import _agreement, _concentration

Digits = tuple[Samples, Samples, Samples]


@pytest.fixture(scope="module")
def pool(digits: Digits) -> SpareSet:
    return SpareSet(digits[1] + digits[2], shortfall="partial")


def twins_of(pool: SpareSet, forget: Samples, original: Trained) -> Samples:
    found = pool.match(forget, original).samples
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(3))
def test_twins_of_random_samples_are_typical(digits: Digits, original: Trained, pool: SpareSet, seed: int) -> None:
    forget = digits[0].only(Random(60, seed=seed).choose(BlindView(digits[0])))
    found = Typicality.of(twins_of(pool, forget, original), spares=pool.unspent, before=original, retain=digits[0])
    assert not found.atypical
    assert found.verdict == "these twins are typical of the data"
    assert float(found.weights.mean()) > 0.8
    assert len(found.weights) == 60


def test_twins_of_one_class_are_not(digits: Digits, original: Trained, pool: SpareSet) -> None:
    forget = digits[0].only(OneClass(30, target=3).choose(BlindView(digits[0])))
    found = Typicality.of(twins_of(pool, forget, original), spares=pool.unspent, before=original, retain=digits[0])
    share = float((digits[0].targets == 3).float().mean())
    assert found.atypical
    assert found.concentration == 1e-4
    assert "100 % of them are of class 3" in found.verdict
    assert float(found.weights.max()) == pytest.approx(share), "all of them together count as much as the class does"


def test_twins_among_other_classes_are_not(original: Trained, pool: SpareSet) -> None:
    """Mislabelled ones: their neighbours are of their true class."""
    unspent = pool.unspent
    part = unspent.at(torch.arange(0, 60))
    wrong = Samples(part.inputs, (part.targets + 1) % 10, part.ids, classes=part.classes)
    found = Typicality.of(wrong, spares=unspent, before=original)
    assert found.agreement is not None
    assert found.agreement.high < 0
    assert found.concentration > 1e-3
    assert found.atypical
    assert "% of their neighbours are of their class" in found.verdict
    assert float(found.weights.mean()) < 0.2


def test_neighbours_by_brute_force(original: Trained, digits: Digits) -> None:
    some = digits[1].at(torch.arange(100))
    features = torch.nn.functional.normalize(original.features(some).double(), dim=1)
    near = (features @ features.T).fill_diagonal_(-2).topk(10, dim=1).indices
    expected = (some.targets[near] == some.targets[:, None]).float().mean(dim=1)
    assert torch.equal(_agreement(some, original), expected)


def test_concentration_against_the_exact_test() -> None:
    """Of two classes: the binomial's probabilities of all counts that are at least as uneven."""
    count, share = 20, 0.3

    def ratio(k: int) -> float:
        parts = ((k, share), (count - k, 1 - share))
        return sum(n * torch.log(torch.tensor(n / (count * p), dtype=torch.double)).item() for n, p in parts if n)

    for k in (6, 9, 11):
        exact = sum(
            comb(count, n) * share**n * (1 - share) ** (count - n)
            for n in range(count + 1)
            if ratio(n) >= ratio(k) - 1e-9
        )
        counts = torch.tensor([k, count - k], dtype=torch.double)
        found = _concentration(counts, torch.tensor([share, 1 - share], dtype=torch.double))
        assert found == pytest.approx(exact, abs=0.015)


def test_typical_spares_have_the_datas_classes(digits: Digits, original: Trained, pool: SpareSet) -> None:
    """With three twins of one class that count fully, as many fewer of it are drawn."""
    unspent = pool.unspent
    beside = unspent.at((unspent.targets == 3).nonzero().flatten()[:10])
    drawn = typical_spares(unspent, 190, before=original, beside=beside, retain=digits[0])
    assert not set(drawn.ids) & set(beside.ids)
    shares = torch.bincount(digits[0].targets, minlength=10) / len(digits[0])
    both = torch.bincount(torch.cat([drawn.targets, beside.targets]), minlength=10)
    assert (both - 200 * shares).abs().max() <= 2
    light = typical_spares(unspent, 190, before=original, beside=beside, weights=torch.zeros(10), retain=digits[0])
    assert (torch.bincount(light.targets, minlength=10) - 190 * shares).abs().max() <= 2


def test_mislabelled_spares_are_not_drawn(original: Trained, pool: SpareSet) -> None:
    unspent = pool.unspent
    targets = unspent.targets
    wrong = torch.arange(0, len(targets), 10)
    targets[wrong] = (targets[wrong] + 5) % 10
    spares = Samples(unspent.inputs, targets, unspent.ids)
    drawn = typical_spares(spares, len(spares) // 2, before=original)
    share = len(set(drawn.ids) & {spares.ids[p] for p in wrong.tolist()}) / len(drawn)
    assert share < 0.01, "one in ten is mislabelled"


def test_typical_spares_repeat_themselves(original: Trained, pool: SpareSet) -> None:
    one, other, third = (typical_spares(pool.unspent, 50, before=original, seed=s).ids for s in (1, 1, 2))
    assert one == other != third
    assert len(typical_spares(pool.unspent.at(torch.arange(30)), 500, before=original)) <= 30


def test_without_classes_nothing_is_known() -> None:
    trained, samples = ridge_trained()
    twins, spares = samples.at(torch.arange(5)), samples.at(torch.arange(5, 40))
    found = Typicality.of(twins, spares=spares, before=trained)
    assert not found.atypical
    assert "no classes" in found.verdict
    assert torch.equal(found.weights, torch.ones(5))
    assert len(typical_spares(spares, 7, before=trained)) == 7


def test_a_class_that_only_twins_have_is_theirs_alone() -> None:
    task = tiny_task(3)
    known = blobs(60)
    trained = fit(task, known, Recipe(epochs=5, batch_size=8), seed=0)
    spares = blobs(40, seed=1)
    without = spares.at((spares.targets < 2).nonzero().flatten())
    twins = blobs(30, seed=2)
    twins = twins.at((twins.targets == 2).nonzero().flatten())
    found = Typicality.of(twins, spares=without, before=trained, retain=known)
    assert found.atypical
    drawn = typical_spares(without, 12, before=trained, beside=twins, weights=found.weights, retain=known)
    assert len(drawn) > 0


def test_what_is_missing_is_named() -> None:
    trained = trained_by_hand(tiny_task(), blobs(30))
    few = blobs(8, seed=3)
    with pytest.raises(BadInputError, match="are too few to compare them with"):
        Typicality.of(few, spares=few, before=trained)
    with pytest.raises(BadInputError, match="count=0 must be positive"):
        typical_spares(few, 0, before=trained)
    with pytest.raises(BadInputError, match="no spares are left"):
        typical_spares(few, 3, before=trained, beside=few)
    with pytest.raises(BadInputError, match="2 weights for 0 twins"):
        typical_spares(few, 3, before=trained, weights=torch.ones(2))
