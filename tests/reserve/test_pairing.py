import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support import blobs

from unscathed import BadInputError, Euclidean, Samples
from unscathed.reserve import pair


def greedy(
    distances: torch.Tensor, wanting: list[bool], free: list[bool], mutual: bool, radius: float
) -> dict[int, int]:
    """All pairs by distance, the nearest first, literally."""
    count = len(distances)
    edges = sorted((float(distances[a, b]), a, b) for a in range(count) for b in range(count) if a != b)
    left, open_to, found = list(wanting), list(free), {}
    for far, a, b in edges:
        if far <= radius and left[a] and open_to[b]:
            found[a] = b
            left[a] = open_to[b] = False
            if mutual:
                open_to[a] = left[b] = False
    return found


@given(st.integers(2, 60), st.integers(0, 999), st.booleans(), st.sampled_from([None, 0.5]))
def test_the_nearest_two_of_all_are_paired_first(count: int, seed: int, mutual: bool, radius: float | None) -> None:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(count, 2, generator=generator)
    samples = Samples(vectors, None, [str(n) for n in range(count)])
    risky = None if mutual else [str(n) for n in range(count // 2)]
    wanting = [mutual or n < count // 2 for n in range(count)]
    free = [mutual or n >= count // 2 for n in range(count)]
    expected = greedy(torch.cdist(vectors, vectors), wanting, free, mutual, radius or float("inf"))
    if not expected:
        with pytest.raises(BadInputError):
            pair(samples, vectors, at_risk=risky, radius=radius, similarity=Euclidean())
        return
    found = pair(samples, vectors, at_risk=risky, radius=radius, similarity=Euclidean())
    pairs = {frozenset((a, b)) for a, b in found.partner_of.items()}
    assert pairs == {frozenset((str(a), str(b))) for a, b in expected.items()}
    assert set(found.spares.ids) == set(found.partner_of.values())
    assert not set(found.spares.ids) & set(found.retain.ids)
    assert len(found.spares) + len(found.retain) == count
    assert set(found.partner_of) | set(found.alone) <= set(found.retain.ids)
    for one, other in found.partner_of.items():
        far = float((vectors[int(one)] - vectors[int(other)]).norm())
        assert found.distances[one] == pytest.approx(far, abs=1e-5)


def test_partners_are_of_the_same_class() -> None:
    samples = blobs(90)
    found = pair(samples, samples.inputs, labels=samples.targets, similarity=Euclidean())
    label = dict(zip(samples.ids, samples.targets.tolist(), strict=True))
    assert all(label[one] == label[other] for one, other in found.partner_of.items())
    assert len(found.spares) == 45
    assert found.within(float("inf")) == 45
    assert 0 < found.within(found.distances[min(found.distances)]) <= 45
    assert str(found).startswith("45 of 45 samples have a partner, at a median distance of")


def test_what_cannot_be_paired() -> None:
    samples = blobs(9)
    with pytest.raises(BadInputError, match="3 problems"):
        pair(samples, samples.inputs[:4], labels=samples.targets[:2], at_risk=["stranger"])
    with pytest.raises(BadInputError, match="no two samples are within radius=1e-09"):
        pair(samples, samples.inputs, radius=1e-9, similarity=Euclidean())
