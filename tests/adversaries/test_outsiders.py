"""One table of crafters drives what holds for all who make up what is to be forgotten."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.support import blobs, ridge_trained, tiny_task, trained_by_hand
from torch import Tensor, nn

from unscathed import (
    BadInputError,
    BlindView,
    ClassificationTask,
    GradientAscent,
    OutputView,
    ParameterView,
    Recipe,
    Samples,
    Trained,
    fit,
)
from unscathed.adversaries import Crafter, Outsider, PerturbedCopies, QueryingOutsider, Random, ServiceView
from unscathed.adversaries.crafting import Ball, climbed, in_units, lengths, made_of

SAMPLES, OWN, VALIDATION = blobs(60, spread=0.8), blobs(24, seed=7, spread=0.8), blobs(30, seed=5, spread=0.8)
Make = Callable[..., Crafter[Any]]
MAKERS: list[Make] = [
    lambda budget, radius=0.5, **more: Outsider(budget, radius=radius, steps=5, **more),
    lambda budget, radius=0.5, **more: QueryingOutsider(budget, radius=radius, steps=2, directions=2, **more),
    lambda budget, radius=0.5, **more: PerturbedCopies(budget, distance=radius, **more),
]
FAMILIES = pytest.mark.parametrize("make", MAKERS, ids=["Outsider", "QueryingOutsider", "PerturbedCopies"])


@pytest.fixture(scope="module")
def trained() -> Trained:
    return fit(tiny_task(), SAMPLES, Recipe(epochs=10, batch_size=16, precision="float32"), seed=0)


def shown_to(crafter: Crafter[Any], trained: Trained, own: Samples, validation: Samples = VALIDATION) -> Any:
    """The view that a crafter needs."""
    if isinstance(crafter, Outsider):
        return ParameterView(trained, own, validation=validation)
    if isinstance(crafter, QueryingOutsider):
        return ServiceView(trained, own, unlearned=lambda request: naive(trained, SAMPLES, request).score(validation))
    return BlindView(own)


def naive(trained: Trained, samples: Samples, request: Samples, unlearner: GradientAscent | None = None) -> Trained:
    """What a service that trusts whoever asks makes of a request: it holds whatever is sent to be its own."""
    trusting = replace(trained, ids=trained.ids + request.ids)
    return (unlearner or GradientAscent(epochs=1)).unlearn(trusting, samples + request, request.ids)


@FAMILIES
@pytest.mark.parametrize(("budget", "count"), [(0.25, 6), (0.001, 1), (5, 5), (24, 24)])
def test_budgets_are_exact_and_answers_repeat(make: Make, budget: float, count: int, trained: Trained) -> None:
    crafter = make(budget)
    view = shown_to(crafter, trained, OWN)
    made = crafter.craft(view)
    assert len(made) == count
    assert not set(made.ids) & {*SAMPLES.ids, *OWN.ids, *VALIDATION.ids}
    own = crafter.origins(view)
    assert set(own.ids) <= set(OWN.ids)
    assert torch.equal(made.targets, own.targets)
    again = make(budget).craft(shown_to(crafter, trained, OWN))
    assert (again.ids, again.dtype) == (made.ids, OWN.dtype)
    assert torch.equal(again.inputs, made.inputs)
    if count > 1:
        assert make(budget, seed=1).origins(view).ids != own.ids


@FAMILIES
@pytest.mark.parametrize("radius", [0.1, 0.6, 3.0])
def test_each_stays_within_its_radius_and_has_moved(make: Make, radius: float, trained: Trained) -> None:
    crafter = make(10, radius)
    view = shown_to(crafter, trained, OWN)
    moved = distances(crafter.craft(view), crafter.origins(view))
    assert (moved <= radius + 1e-5).all()
    assert (moved > 0).all()


@FAMILIES
def test_images_stay_images_and_rounding_does_not_leave_the_radius(
    make: Make, original: Trained, digits: tuple[Samples, Samples, Samples]
) -> None:
    own, validation = digits[1].at(torch.arange(40)), digits[2].at(torch.arange(40))
    for radius in (0.05, 0.6):
        crafter = make(4, radius)
        view = shown_to(crafter, original, own, validation)
        if isinstance(crafter, QueryingOutsider):
            view = ServiceView(original, own, unlearned=lambda request: -float(in_units(request.inputs).sum()))
        made = crafter.craft(view)
        assert (made.dtype, made.shape, made.classes) == (torch.uint8, own.shape, own.classes)
        moved = distances(made, crafter.origins(view))
        assert (moved <= radius).all()
        assert (moved > 0).any()
        digits[0] + made  # they can stand beside training samples


@FAMILIES
@pytest.mark.parametrize("budget", [0, -1, 0.0, 1.0, 1.5, float("nan")])
def test_budgets_that_cannot_be(make: Make, budget: float) -> None:
    with pytest.raises(BadInputError, match="budget"):
        make(budget)


@FAMILIES
def test_what_cannot_be_used(make: Make, trained: Trained) -> None:
    crafter = make(25)
    with pytest.raises(BadInputError, match="budget=25 exceeds its own 24 samples"):
        crafter.craft(shown_to(crafter, trained, OWN))
    words = Samples(torch.arange(12).view(4, 3), torch.arange(4) % 3)
    with pytest.raises(BadInputError, match="int64"):
        make(2).craft(shown_to(crafter, trained, words))
    with pytest.raises(BadInputError, match=r"(radius|distance)=-1 must be positive"):
        make(2, -1)


def test_settings_are_named_all_at_once_and_views_that_show_too_little(trained: Trained) -> None:
    with pytest.raises(BadInputError) as caught:
        Outsider(0, radius=0.0, steps=0, ascents=0, learning_rate=-1.0)
    for problem in ("budget=0", "radius=0.0", "steps=0", "ascents=0", "learning_rate=-1.0"):
        assert problem in str(caught.value)
    with pytest.raises(BadInputError, match=r"directions=0 .*\n.*reach=0"):
        QueryingOutsider(steps=1, directions=0, reach=0)
    with pytest.raises(BadInputError, match="needs a ParameterView, and a OutputView shows less"):
        Outsider(2).craft(OutputView(trained, OWN))  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="needs a ServiceView, and a OutputView shows less"):
        QueryingOutsider(2).craft(OutputView(trained, OWN))  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="all of one class"):
        PerturbedCopies(1).craft(BlindView(OWN.at((OWN.targets == 1).nonzero().flatten())))
    with pytest.raises(BadInputError, match="not classes"):
        PerturbedCopies(1).craft(BlindView(ridge_trained()[1]))


@pytest.mark.parametrize("crafter", [Outsider(3), QueryingOutsider(0.1, reach=0.2), PerturbedCopies(2, distance=0.3)])
def test_repr_is_the_constructor_call(crafter: Crafter[Any]) -> None:
    assert repr(eval(repr(crafter))) == repr(crafter)


def linear_in_float64() -> tuple[Trained, ParameterView, Samples]:
    """A linear classifier in float64, its attacker's view and own samples."""
    task = ClassificationTask(lambda: nn.Linear(3, 3, dtype=torch.float64), 3)
    samples, own, validation = (
        Samples(part.inputs.double(), part.targets) for part in (SAMPLES, OWN.at(torch.arange(4)), VALIDATION)
    )
    trained = trained_by_hand(task, samples)
    return trained, ParameterView(trained, own, validation=validation), own


@pytest.mark.parametrize("ascents", [1, 3])
def test_harm_is_what_gradient_ascent_by_hand_gives(ascents: int) -> None:
    trained, view, own = linear_in_float64()
    model = trained.model()
    for _ in range(ascents):
        model.zero_grad()
        nn.functional.cross_entropy(model(own.inputs), own.targets).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.3 * parameter.grad
    expected = nn.functional.cross_entropy(model(view.validation.inputs), view.validation.targets)
    harm = Outsider(4, learning_rate=0.3, ascents=ascents).harm(view, own)
    torch.testing.assert_close(harm(own.inputs), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("ascents", [1, 3])
def test_its_slope_goes_through_the_unlearning(ascents: int) -> None:
    _, view, own = linear_in_float64()
    harm = Outsider(4, learning_rate=0.3, ascents=ascents).harm(view, own)
    inputs = own.inputs.requires_grad_()
    assert torch.autograd.gradcheck(harm, (inputs,), eps=1e-6, atol=1e-8)
    (slope,) = torch.autograd.grad(harm(inputs), inputs)
    assert slope.abs().max() > 1e-4


def test_a_larger_radius_harms_more_and_crafting_more_than_chance() -> None:
    _, view, _ = linear_in_float64()
    harms = []
    for radius in (0.3, 1.0, 3.0):
        crafter = Outsider(4, radius=radius, learning_rate=0.3)
        own = crafter.origins(view)
        harm = crafter.harm(view, own)
        harms.append(float(harm(crafter.craft(view).inputs)))
        ball = Ball.around(own, radius)
        chance = [float(harm(ball.drawn(torch.Generator().manual_seed(n)))) for n in range(10)]
        assert harms[-1] > max(chance)
        assert harms[-1] > float(harm(own.inputs))
    assert harms == sorted(harms)


def test_a_service_that_trusts_is_wrecked_by_them_and_not_by_members(
    original: Trained, digits: tuple[Samples, Samples, Samples]
) -> None:
    """Twenty crafted samples cost what twenty of its own do not: the attack is in the content."""
    samples, own, test = digits
    trained = replace(original, recipe=replace(original.recipe, optimizer="sgd", learning_rate=0.1))
    trusting = GradientAscent(epochs=2, kl_budget=None)
    view = ParameterView(trained, own, validation=test)
    crafter = Outsider(20, radius=1.0, steps=20, learning_rate=0.02, ascents=2)
    crafted, before = crafter.craft(view), trained.score(test)
    members = Random(20).choose(BlindView(samples))
    assert trusting.unlearn(trained, samples, members).score(test) > before - 0.05
    assert naive(trained, samples, crafted, trusting).score(test) < before - 0.15
    with pytest.raises(BadInputError, match="20 ids are unknown"):
        trusting.unlearn(trained, samples, crafted.ids)


def test_queries_are_counted_and_lower_what_is_asked_about() -> None:
    """The score falls with the first value of each input alone, so the slope is known."""
    own = Samples(torch.zeros(2, 3), [0, 1])
    trained = trained_by_hand(tiny_task(), SAMPLES)
    asked: list[Samples] = []

    def score(request: Samples) -> float:
        asked.append(request)
        return -float(request.inputs[:, 0].double().sum())

    view = ServiceView(trained, own, unlearned=score)
    crafter = QueryingOutsider(2, radius=1.0, steps=8, directions=12)
    made = crafter.craft(view)
    assert view.queries == len(asked) == 9 * (1 + 2 * 12)
    assert (made.inputs[:, 0] > 0.8).all(), "a ball's far end in that direction is at 1"
    assert all((lengths(request.inputs) <= 1 + 1e-5).all() for request in asked), "it asks what it could send"


def test_the_best_that_was_seen_is_kept_and_what_is_not_finite_is_not() -> None:
    ball = Ball(torch.zeros(1, 1, dtype=torch.float64), 1.0, False)
    values = iter([0.0, 3.0, float("nan"), float("inf"), 1.0])
    seen: list[Tensor] = []

    def slope(inputs: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(inputs)
        return torch.full_like(inputs, float("nan") if len(seen) == 3 else 1.0), torch.tensor(next(values))

    assert torch.equal(climbed(ball, ball.centre, 4, slope), seen[1])
    assert torch.equal(seen[3], seen[2]), "without a slope it stays"
    assert seen[-1].item() == 1.0


def test_a_ball_moves_straight_towards_its_centre_and_clamps_into_range() -> None:
    centre = torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    ball = Ball(centre, 0.5, True)
    inside = ball.inside(torch.tensor([[0.5 + 3.0, 0.5 + 4.0], [-3.0, 1.0]]))
    torch.testing.assert_close(inside, torch.tensor([[0.8, 0.9], [0.0, 1.0]]))
    near = torch.tensor([[0.6, 0.5], [0.1, 0.9]])
    assert torch.equal(ball.inside(near), near)


def test_rounding_goes_towards_the_origin() -> None:
    own = Samples(torch.tensor([[10, 20, 0, 255]], dtype=torch.uint8), [0])
    made = made_of(own, torch.tensor([[12.9, 17.1, 0.9, 250.5]]) / 255)
    assert made.inputs.tolist() == [[12, 18, 0, 251]]


def test_what_rounding_leaves_where_it_was_has_a_fresh_id_all_the_same() -> None:
    own = Samples(torch.tensor([[10, 20]], dtype=torch.uint8), [0])
    made = made_of(own, torch.tensor([[10.5, 19.5]]) / 255)
    assert torch.equal(made.inputs, own.inputs)
    assert made.ids != own.ids


def test_perturbed_copies_go_to_the_nearest_of_another_class_and_not_beyond() -> None:
    own = Samples(torch.tensor([[0.0, 0.0], [0.5, 0.0], [2.0, 0.0], [0.0, 9.0]]), [0, 0, 1, 1])
    for distance, expected in ((0.5, [0.5, 1.0, 1.5]), (5.0, [2.0, 2.0, 0.5])):
        crafter = PerturbedCopies(4, distance=distance)
        origins = crafter.origins(BlindView(own))
        made = crafter.craft(BlindView(own))
        moved = dict(zip(origins.ids, made.inputs.tolist(), strict=True))
        assert [moved[i][0] for i in own.ids[:3]] == pytest.approx(expected)
        assert [moved[i][1] for i in own.ids[:3]] == [0.0] * 3


def distances(made: Samples, own: Samples) -> Tensor:
    return (in_units(made.inputs).double() - in_units(own.inputs).double()).flatten(1).norm(dim=1)
