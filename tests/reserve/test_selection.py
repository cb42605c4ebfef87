import pytest
import torch
from tests.support import blobs

from unscathed import BadInputError, Samples
from unscathed.reserve import hold_back
from unscathed.reserve.selection import farthest_first, herded


def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)


VECTORS = torch.randn(40, 3, generator=draw())


def test_the_farthest_is_always_next() -> None:
    taken = farthest_first(VECTORS, 10, draw()).tolist()
    assert len(set(taken)) == 10
    distances = torch.cdist(VECTORS, VECTORS)
    for size in range(1, 10):
        to_taken = distances[:, taken[:size]].min(dim=1).values
        assert to_taken[taken[size]] == pytest.approx(float(to_taken.max()), rel=1e-4)
    # No more than twice as far from a centre as the best choice of so many could have it (Gonzalez 1985).
    radius = distances[:, taken].min(dim=1).values.max()
    other = min(
        float(distances[:, torch.randperm(40, generator=torch.Generator().manual_seed(s))[:10]].min(1).values.max())
        for s in range(50)
    )
    assert radius <= 2 * other
    assert sorted(farthest_first(VECTORS, 40, draw()).tolist()) == list(range(40))


def test_herding_keeps_the_mean_near() -> None:
    taken = herded(VECTORS, 40, draw()).tolist()
    assert sorted(taken) == list(range(40))
    mean = VECTORS.mean(0)
    for size in range(1, 12):
        kept = taken[: size - 1]
        best = min(
            (n for n in range(40) if n not in kept), key=lambda n: float((VECTORS[[*kept, n]].mean(0) - mean).norm())
        )
        assert taken[size - 1] == best


@pytest.mark.parametrize("how", ["random", "k-center", "herding"])
def test_each_class_gives_its_share(how: str) -> None:
    samples = blobs(90)
    retain, spares = hold_back(samples, reserve=0.2, seed=0, how=how, vectors=samples.inputs)  # type: ignore[arg-type]
    assert (len(retain), len(spares)) == (72, 18)
    assert set(retain.ids) | set(spares.ids) == set(samples.ids)
    assert torch.bincount(spares.targets).tolist() == [6, 6, 6]
    again = hold_back(samples, reserve=0.2, seed=0, how=how, vectors=samples.inputs)[1]  # type: ignore[arg-type]
    assert again.ids == spares.ids


def test_a_cover_leaves_no_sample_far_from_a_spare_and_a_random_choice_does() -> None:
    far = Samples(torch.cat([blobs(99).inputs, torch.full((1, 3), 50.0)]), torch.zeros(100, dtype=torch.long))
    covered = [
        bool((hold_back(far, reserve=5, seed=s, how="k-center", vectors=far.inputs)[1].inputs > 40).any())
        for s in range(5)
    ]
    drawn = [bool((hold_back(far, reserve=5, seed=s)[1].inputs > 40).any()) for s in range(5)]
    assert all(covered)
    assert not all(drawn)


def test_targets_that_are_no_classes() -> None:
    samples = Samples(VECTORS, VECTORS[:, 0])
    assert len(hold_back(samples, reserve=7, seed=0, how="herding", vectors=VECTORS)[1]) == 7


def test_what_cannot_be_held_back() -> None:
    with pytest.raises(BadInputError, match="'luck' must be one of"):
        hold_back(blobs(9), reserve=3, seed=0, how="luck")  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match=r"needs vectors \[9, d\]; given: none"):
        hold_back(blobs(9), reserve=3, seed=0, how="herding")
