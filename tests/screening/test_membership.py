import pytest
import torch
from tests.support import blobs, tiny_task, trained_by_hand

from unscathed import BadInputError, Cosine, Euclidean, ParameterView, Samples, Trained
from unscathed.adversaries import Outsider, PerturbedCopies
from unscathed.adversaries.crafting import in_units
from unscathed.reserve.proximity import calibrated_radius
from unscathed.screening import Admission, Door, Refusal

Digits = tuple[Samples, Samples, Samples]
MEMBERS = blobs(60)


def content(samples: Samples, ids: list[str] | None = None) -> Samples:
    """The same content under ids that say nothing."""
    return Samples(samples.inputs, samples.targets, ids or [f"request {n}" for n in range(len(samples))])


def test_members_pass_by_id_and_strangers_do_not() -> None:
    admission = Door(MEMBERS).admit([MEMBERS.ids[3], "nobody", MEMBERS.ids[1], MEMBERS.ids[3]])
    assert admission == Admission((MEMBERS.ids[3], MEMBERS.ids[1]), (Refusal("nobody", "unknown id"),))
    with pytest.raises(BadInputError, match=r"1 were never learned \('nobody' \(unknown id\)\)"):
        admission.raise_any()
    Door(MEMBERS).admit(MEMBERS.ids).raise_any()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.int64])
@pytest.mark.parametrize("seed", range(3))
def test_all_members_pass_by_content_in_any_order_and_type(dtype: torch.dtype, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    inputs = (torch.rand(40, 2, 3, generator=generator) * 255).to(dtype)
    members = Samples(inputs, torch.arange(40) % 4)
    order = torch.randperm(40, generator=generator)[:25]
    admission = Door(members).admit(content(members.at(order)))
    assert admission == Admission(tuple(members.ids[p] for p in order.tolist()), ())


def test_legal_requests_of_real_images_are_never_refused(digits: Digits) -> None:
    samples, spares, test = digits
    door = Door(samples)
    assert door.admit(content(samples)) == Admission(samples.ids, ())
    strangers = door.admit(content(spares + test))
    assert not strangers.admitted
    assert len(strangers.refused) == len(spares) + len(test)


@pytest.mark.parametrize("kind", ["outsider", "copies"])
def test_along_the_way_from_a_member_to_an_attack_all_but_the_member_is_refused(
    kind: str, original: Trained, digits: Digits
) -> None:
    samples, _, test = digits
    own = samples.at(torch.arange(30))  # an attacker with real members: all the nearer
    crafter = Outsider(5, radius=1.0, steps=5) if kind == "outsider" else PerturbedCopies(5, distance=1.0)
    view = ParameterView(original, own, validation=test)
    start, end = crafter.origins(view), crafter.craft(view)
    door, far = Door(samples), []
    for share in torch.linspace(0, 1, 41).tolist():
        between = (start.inputs.double() + share * (end.inputs.double() - start.inputs.double())).round()
        asked = Samples(between.to(torch.uint8), start.targets)
        away = (in_units(asked.inputs) - in_units(start.inputs)).flatten(1).norm(dim=1)
        admission = door.admit(asked)
        assert admission.admitted == tuple(i for i, d in zip(start.ids, away.tolist(), strict=True) if d == 0)
        assert [r.asked for r in admission.refused] == [asked.ids[p] for p in away.nonzero().flatten().tolist()]
        for refusal, distance in zip(admission.refused, away[away > 0].tolist(), strict=True):
            assert refusal.distance is not None
            assert refusal.distance <= distance + 1e-5
            assert refusal.reason == ("near a member" if refusal.distance <= door.radius else "not a member")
        far.append(float(away.max()))
    assert far[0] == 0
    assert 0 < far[3] < 0.2 * far[-1], "the least steps are among them"


def test_the_least_change_that_floats_can_hold_is_refused_and_told_as_near() -> None:
    members = Samples(blobs(60).inputs.double(), blobs(60).targets)
    door = Door(members)
    one = members.at(torch.tensor([7]))
    moved = one.inputs
    moved[0, 0] = torch.nextafter(moved[0, 0], torch.tensor(torch.inf, dtype=torch.float64))
    (refusal,) = door.admit(Samples(moved, one.targets, ["next"])).refused
    assert (refusal.asked, refusal.reason, refusal.nearest) == ("next", "near a member", members.ids[7])
    assert refusal.distance == pytest.approx(0, abs=1e-6)
    assert door.admit(content(one)).admitted == one.ids


def test_the_distance_and_the_nearest_are_those_of_all_pairs(digits: Digits) -> None:
    samples, spares, _ = digits
    door = Door(samples)
    apart = torch.cdist(*(in_units(part.inputs).flatten(1).double() for part in (spares, samples)))
    refused = door.admit(spares).refused
    assert [r.nearest for r in refused] == [samples.ids[p] for p in apart.argmin(dim=1).tolist()]
    assert [r.distance for r in refused] == pytest.approx(apart.min(dim=1).values.tolist(), rel=1e-5)
    vectors = in_units(samples.inputs).flatten(1)
    assert door.radius == calibrated_radius(Euclidean().fit(vectors, None), vectors, None) > 0


def test_a_members_input_under_another_target_is_refused_and_without_one_it_passes() -> None:
    one = MEMBERS.at(torch.tensor([4]))
    (refusal,) = Door(MEMBERS).admit(Samples(one.inputs, (one.targets + 1) % 3, ["x"])).refused
    assert (refusal.reason, refusal.nearest, refusal.distance) == ("other target", one.ids[0], 0.0)
    assert Door(MEMBERS).admit(Samples(one.inputs)).admitted == one.ids


def test_all_copies_of_a_content_are_admitted_once() -> None:
    one = MEMBERS.at(torch.tensor([4]))
    doubled = MEMBERS + Samples(one.inputs, one.targets, ["copy"]) + Samples(one.inputs, one.targets + 1, ["other"])
    twice = Samples(torch.cat([one.inputs] * 2), torch.cat([one.targets] * 2))
    assert Door(doubled).admit(twice) == Admission((one.ids[0], "copy"), ())


@pytest.mark.parametrize(
    "asked",
    [
        Samples(torch.zeros(1, 4), [0], ["x"]),
        Samples(MEMBERS.inputs[:1].double(), MEMBERS.targets[:1], ["x"]),
    ],
    ids=["another shape", "another type"],
)
def test_what_cannot_be_compared_is_refused_without_a_distance(asked: Samples) -> None:
    assert Door(MEMBERS).admit(asked) == Admission((), (Refusal("x", "not a member"),))


def test_ids_of_content_say_nothing() -> None:
    forged = Samples(torch.full((1, 3), 9.0), [0], MEMBERS.ids[:1])
    admission = Door(MEMBERS).admit(forged)
    assert not admission.admitted
    assert admission.refused[0].reason == "not a member"


def test_distances_may_be_taken_in_features_and_decide_nothing() -> None:
    trained = trained_by_hand(tiny_task(), MEMBERS)
    door = Door(MEMBERS, trained=trained)
    asked = content(blobs(5, seed=3))
    refused = door.admit(asked).refused
    here, there = (trained.features(part) for part in (asked, MEMBERS))
    far = 1 - torch.nn.functional.cosine_similarity(here[:, None], there[None], dim=2)
    assert [r.distance for r in refused] == pytest.approx(far.min(dim=1).values.tolist(), abs=1e-6)
    assert door.admit(content(MEMBERS)).admitted == MEMBERS.ids
    assert Door(MEMBERS, trained=trained, similarity=Euclidean()).admit(asked).refused != refused


def test_a_door_needs_members_and_the_model_where_it_compares_features() -> None:
    with pytest.raises(BadInputError, match=r"no members.*\n.*trained=…|2 problems"):
        Door(MEMBERS.only([]), similarity=Cosine())
    assert repr(Door(MEMBERS)) == "Door(Samples(60 of shape (3,), float32))"
