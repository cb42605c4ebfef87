import pytest
import torch
from tests.support import blobs, tiny_task, trained_by_hand

from unscathed import Euclidean, Raw, Samples, SpareSet, Trained
from unscathed.reserve.proximity import calibrated_radius

SAMPLES = blobs(300, seed=1)
SPARES = blobs(200, seed=2)


@pytest.fixture
def trained() -> Trained:
    return trained_by_hand(tiny_task(), SAMPLES)


def test_all_but_one_in_a_hundred_distinct_samples_are_farther_apart() -> None:
    vectors, labels = SPARES.inputs, SPARES.targets
    radius = calibrated_radius(Euclidean().fit(vectors, labels), vectors, labels)
    distances = torch.cdist(vectors, vectors)
    distances[labels[:, None] != labels[None]] = torch.inf
    apart = distances.fill_diagonal_(torch.inf).min(dim=1).values
    assert radius == pytest.approx(float(torch.quantile(apart, 0.01)), rel=1e-4)
    # Copies say nothing of how far apart distinct samples are.
    doubled = torch.cat([vectors, vectors])
    again = calibrated_radius(Euclidean().fit(doubled, None), doubled, torch.cat([labels, labels]))
    assert again == pytest.approx(radius, rel=1e-4)
    assert calibrated_radius(Euclidean().fit(vectors, None), vectors[:15], None) == 0.0, "too few to say"


def near(one: Samples, distance: float, name: str) -> Samples:
    shift = torch.full_like(one.inputs, distance / one.inputs.shape[1] ** 0.5)
    return Samples(one.inputs + shift, one.targets, [name])


@pytest.mark.parametrize("radius", [None, 0.0, 0.2])
@pytest.mark.parametrize("assignment", ["in order", "joint"])
def test_what_is_nearly_the_forgotten_is_nobodys_twin(trained: Trained, radius: float | None, assignment: str) -> None:
    one = SAMPLES.at(torch.tensor([0]))
    spares = SPARES + near(one, 0.0, "copy") + near(one, 1e-4, "near") + near(one, 0.15, "nearer than others")
    reserve = SpareSet(spares, Euclidean(Raw()), radius=radius, assignment=assignment)  # type: ignore[arg-type]
    forget = one + SAMPLES.at(torch.arange(1, 12))
    twins = reserve.match(forget, trained)
    named = {"copy", "near", "nearer than others"}
    refused = {None: {"copy", "near"}, 0.0: {"copy"}, 0.2: named}[radius]
    assert named & set(twins.refused) == refused
    assert not set(twins.refused) & set(twins.spare_of.values())
    assert twins.refused["copy"] == one.ids[0]
    assert twins.radius == pytest.approx({None: twins.radius, 0.0: 0.0, 0.2: 0.2}[radius])
    if radius == 0.0:
        assert twins.spare_of[one.ids[0]] == "near"


def test_more_copies_than_are_looked_at_at_once_are_all_refused(trained: Trained) -> None:
    one = SAMPLES.at(torch.tensor([0]))
    spares = SPARES
    for number in range(40):
        spares = spares + near(one, 0.0, f"copy {number}")
    twins = SpareSet(spares, Euclidean(Raw()), radius=0.0).match(one, trained)
    assert len(twins.refused) == 40
    assert not twins.spare_of[one.ids[0]].startswith("copy")


def test_near_copies_that_stay_are_found(trained: Trained) -> None:
    one, other = SAMPLES.at(torch.tensor([0])), SAMPLES.at(torch.tensor([1]))
    stays = SAMPLES.without(one.ids) + near(one, 0.0, "copy") + near(one, 1e-4, "near") + near(other, 0.5, "far")
    reserve = SpareSet(SPARES, Euclidean(Raw()))
    found = reserve.near_copies(one, stays, trained)
    assert found == {one.ids[0]: ("copy", "near")}
    assert reserve.near_copies(one, SAMPLES, trained) == {}, "itself is no copy"
    # Control: distinct samples are rarely called copies.
    asked = SAMPLES.at(torch.arange(100))
    assert len(reserve.near_copies(asked, SAMPLES.without(asked.ids), trained)) <= 5


def test_near_copies_that_fill_the_reserve_do_not_shrink_a_radius_from_elsewhere(trained: Trained) -> None:
    owned, others = SAMPLES.at(torch.arange(10)), SAMPLES.at(torch.arange(10, 300))
    spares = SPARES
    for number in range(8):
        noise = 0.004 * torch.randn(10, 3, generator=torch.Generator().manual_seed(number))
        spares = spares + Samples(owned.inputs + noise, owned.targets, [f"{n}, {number}" for n in range(10)])
    reserve = SpareSet(spares, Euclidean(Raw()))
    fooled = reserve.match(owned, trained)
    assert sum("," in spare for spare in fooled.spare_of.values()) >= 8, "control: by the spares' own distances"
    honest = SpareSet(spares, Euclidean(Raw())).match(owned, trained, distinct=others)
    assert honest.radius > 2 * fooled.radius
    assert sum("," in spare for spare in honest.spare_of.values()) <= 2
    assert reserve.match(owned, trained, distinct=others).radius == honest.radius, "not the one that was kept"
    clean = SpareSet(SPARES, Euclidean(Raw()))
    assert clean.match(owned, trained).radius == pytest.approx(
        SpareSet(SPARES, Euclidean(Raw())).match(owned, trained, distinct=others).radius, rel=0.6
    )
