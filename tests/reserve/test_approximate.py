import pytest
import torch
from tests.support import tiny_task, trained_by_hand

from unscathed import BadInputError, Euclidean, Raw, Samples, SpareSet
from unscathed.reserve import Approximate

pytest.importorskip("faiss", reason="faiss (extra approximate) is not installed")


def clustered(count: int, seed: int) -> Samples:
    generator = torch.Generator().manual_seed(seed)
    centres = 4 * torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    inputs = centres[torch.randint(30, (count,), generator=generator)] + torch.randn(count, 3, generator=generator)
    return Samples(inputs, torch.arange(count) % 3)


SPARES, FORGET = clustered(6000, 1), clustered(60, 2)
TRAINED = trained_by_hand(tiny_task(), FORGET)


def reserve(approximate: Approximate | None) -> SpareSet:
    return SpareSet(SPARES, Euclidean(Raw()), approximate=approximate, radius=0.0)


def test_recall_is_measured_and_grows_with_the_cells_looked_at() -> None:
    recalls = []
    for probes in (1, 8, 100):
        made = reserve(Approximate(cells=100, probes=probes, fewest=1))
        made.match(FORGET, TRAINED)
        recalls.append(made.vectors.recall())
    assert recalls[0] < 0.97, "control: one cell misses some"
    assert recalls == sorted(recalls)
    assert recalls[2] == 1.0
    assert reserve(Approximate()).match(FORGET, TRAINED).spare_of == reserve(None).match(FORGET, TRAINED).spare_of


def test_looking_at_all_cells_is_exact_and_spends_each_spare_once() -> None:
    index, exact = reserve(Approximate(cells=20, probes=20, fewest=1)), reserve(None)
    for _ in range(3):
        ours, theirs = index.match(FORGET, TRAINED), exact.match(FORGET, TRAINED)
        assert ours.spare_of == theirs.spare_of
        index.spend(ours)
        exact.spend(theirs)


def test_few_probes_still_find_a_twin_for_everyone_and_none_that_is_spent() -> None:
    made = reserve(Approximate(cells=500, probes=1, fewest=1))
    seen: set[str] = set()
    for _ in range(20):
        twins = made.match(FORGET, TRAINED)
        assert len(twins) == len(FORGET)
        assert not seen & set(twins.spare_of.values())
        seen |= set(twins.spare_of.values())
        made.spend(twins)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(BadInputError, match="2 problems"):
        Approximate(cells=0, probes=-1)
