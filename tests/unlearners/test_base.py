"""What every unlearner refuses, and what it leaves alone."""

import warnings
from dataclasses import replace

import pytest
import torch
from tests.support import blobs, ridge_trained, tiny_task
from torch import nn

from unscathed import (
    BadInputError,
    CertifiedRemoval,
    ClassificationTask,
    Fisher,
    GradientAscent,
    Influence,
    NegGradPlus,
    Recipe,
    Retrain,
    Saliency,
    Samples,
    Scrub,
    SelectiveDampening,
    ShortRetraining,
    Sisa,
    Trained,
    Unlearner,
    fit,
)

UNLEARNERS: list[Unlearner] = [
    Retrain(),
    Sisa(shards=2, slices=2),
    Fisher(),
    Influence(),
    Influence(curvature="hessian"),
    Influence(curvature="ekfac"),
    Influence(curvature="last-layer"),
    CertifiedRemoval(),
    GradientAscent(),
    NegGradPlus(),
    Scrub(),
    ShortRetraining(share=0.9),
    Saliency(),
    SelectiveDampening(alpha=1.5),
    SelectiveDampening(alpha=1.5, importance="outputs"),
]
pytestmark = pytest.mark.filterwarnings("ignore:Influence took", "ignore:nothing was dampened")
RECIPE = Recipe(epochs=3, batch_size=16)


@pytest.fixture(scope="module")
def single() -> Trained:
    return fit(tiny_task(), blobs(), RECIPE, seed=0)


@pytest.fixture(scope="module")
def sharded() -> Trained:
    return Sisa(shards=2, slices=2).fit(tiny_task(), blobs(), RECIPE, seed=0)


@pytest.fixture(scope="module")
def certified() -> Trained:
    return CertifiedRemoval().fit(ClassificationTask(lambda: nn.Linear(3, 3), 3), blobs(), RECIPE, seed=0)


@pytest.fixture(params=UNLEARNERS, ids=repr)
def case(
    request: pytest.FixtureRequest, single: Trained, sharded: Trained, certified: Trained
) -> tuple[Unlearner, Trained]:
    unlearner = request.param
    return unlearner, {Sisa: sharded, CertifiedRemoval: certified}.get(type(unlearner), single)


def test_the_ids_are_gone_and_the_history_says_so(case: tuple[Unlearner, Trained]) -> None:
    unlearner, trained = case
    before = {name: w.clone() for name, w in trained.weights.items()}
    forget = blobs().ids[:4]
    unlearned = unlearner.unlearn(trained, blobs(), forget)
    assert set(unlearned.ids) == set(blobs().ids[4:])
    event = unlearned.history[-1]
    assert (event.kind, event.by, event.samples) == ("unlearned", repr(unlearner), 4)
    assert event.steps > 0
    assert len(unlearned.history) == len(trained.history) + 1
    assert all(torch.equal(before[name], w) for name, w in trained.weights.items()), "nothing is changed in place"
    assert any(not torch.equal(unlearned.weights[name], w) for name, w in trained.weights.items())


def test_same_seed_same_result(case: tuple[Unlearner, Trained]) -> None:
    unlearner, trained = case
    torch.manual_seed(1)
    one = unlearner.unlearn(trained, blobs(), blobs().ids[:4])
    torch.manual_seed(2)
    other = unlearner.unlearn(trained, blobs(), blobs().ids[:4])
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_all_problems_with_a_request_are_named_at_once(case: tuple[Unlearner, Trained]) -> None:
    unlearner, trained = case
    outside = Samples(torch.ones(1, 3), [0], ["stranger"])
    wanted = [blobs().ids[0], blobs().ids[0], "nobody", "stranger"]
    with pytest.raises(BadInputError) as caught:
        unlearner.unlearn(trained, blobs() + outside, wanted)
    text = str(caught.value)
    assert "1 ids are unknown ('nobody')" in text
    assert "1 ids are repeated" in text
    assert "2 ids are not in the model ('nobody', 'stranger')" in text


def test_an_empty_forget_set_and_forgetting_everything(case: tuple[Unlearner, Trained]) -> None:
    unlearner, trained = case
    with pytest.raises(BadInputError, match="the forget set is empty"):
        unlearner.unlearn(trained, blobs(), [])
    with pytest.raises(BadInputError, match="no samples would be retained"):
        unlearner.unlearn(trained, blobs(), blobs().ids)
    once = unlearner.unlearn(trained, blobs(), blobs().ids[:4])
    with pytest.raises(BadInputError, match="no samples would be retained"):
        # Those that were forgotten before do not stay.
        unlearner.unlearn(once, blobs().only(blobs().ids[:6]), blobs().ids[4:6])
    with pytest.raises(BadInputError, match="give a list"):
        unlearner.unlearn(trained, blobs(), blobs().ids[0])


def test_forgetting_a_whole_class_warns_and_goes_on(case: tuple[Unlearner, Trained]) -> None:
    unlearner, trained = case
    named = replace_classes(blobs(), ["ash", "birch", "cedar"])
    forget = [i for i, c in zip(named.ids, named.targets.tolist(), strict=True) if c == 1]
    with pytest.warns(UserWarning, match="every sample of class birch"):
        unlearned = unlearner.unlearn(trained, named, forget)
    assert len(unlearned.ids) == 40
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="forgetting every sample")
        unlearner.unlearn(trained, named, forget[1:])


def replace_classes(samples: Samples, classes: list[str]) -> Samples:
    return Samples(samples.inputs, samples.targets, samples.ids, classes=classes)


def test_what_a_method_needs_is_asked_for(single: Trained, sharded: Trained) -> None:
    with pytest.raises(BadInputError, match=r"train it with Sisa\(…\)\.fit"):
        Sisa().unlearn(single, blobs(), blobs().ids[:1])
    with pytest.raises(BadInputError, match="use the Sisa that trained it"):
        Fisher().unlearn(sharded, blobs(), blobs().ids[:1])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fisher(strength=0, kl_budget=-1, floor=0),
        lambda: Influence(damping=-1, iterations=0, kl_budget=0),
        lambda: Sisa(shards=0, slices=0),
        lambda: GradientAscent(epochs=0, kl_budget=-1),
        lambda: NegGradPlus(epochs=1, steps=1, alpha=2),
        lambda: Scrub(alpha=-1, gamma=-1, rounds=2, max_rounds=2),
        lambda: Scrub(alpha=float("nan"), rounds=2.5),  # type: ignore[arg-type]
    ],
)
def test_settings_that_cannot_be(make: object) -> None:
    with pytest.raises(BadInputError, match="problems"):
        make()  # type: ignore[operator]


def test_unlearning_twice_forgets_both(case: tuple[Unlearner, Trained]) -> None:
    unlearner, trained = case
    ids = blobs().ids
    once = with_budget(unlearner.unlearn(trained, blobs(), ids[:2]))
    twice = unlearner.unlearn(once, blobs().without(ids[:2]), ids[2:4])
    assert set(twice.ids) == set(ids[4:])
    assert [e.kind for e in twice.history] == ["fitted", "unlearned", "unlearned"]
    with pytest.raises(BadInputError, match="not in the model"):
        unlearner.unlearn(twice, blobs(), ids[:1])


def test_what_was_forgotten_before_plays_no_part_though_it_is_still_at_hand(case: tuple[Unlearner, Trained]) -> None:
    unlearner, trained = case
    ids = blobs().ids
    once = with_budget(unlearner.unlearn(trained, blobs(), ids[:6]))
    twice = unlearner.unlearn(once, blobs(), ids[6:8])
    assert set(twice.ids) == set(ids[8:])
    apart = unlearner.unlearn(once, blobs().without(ids[:6]), ids[6:8])
    assert all(torch.equal(twice.weights[name], w) for name, w in apart.weights.items())
    with pytest.raises(BadInputError, match="no samples would be retained"):
        unlearner.unlearn(once, blobs(), ids[6:])


def with_budget(unlearned: Trained) -> Trained:
    """The same model, to which no budget says that it has moved."""
    *before, last = unlearned.history
    return replace(unlearned, history=(*before, replace(last, details={**last.details, "kl": 0.0})))


def test_a_repr_is_the_constructor_call() -> None:
    assert eval(repr(Fisher(strength=0.5)), {"Fisher": Fisher}) == Fisher(strength=0.5)
    assert replace(Sisa(), shards=7).shards == 7


@pytest.mark.parametrize("unlearner", UNLEARNERS, ids=repr)
def test_in_bfloat16(unlearner: Unlearner) -> None:
    recipe = replace(RECIPE, precision="bfloat16", learning_rate=0.1)
    task = ClassificationTask(lambda: nn.Linear(3, 3), 3)
    trained = unlearner.fit(task, blobs(), recipe) if unlearner.trains_original else fit(task, blobs(), recipe)  # type: ignore[attr-defined]
    forget = blobs().ids[:4]
    one, other = (unlearner.unlearn(trained, blobs(), forget, seed=0) for _ in range(2))
    assert all(torch.isfinite(w).all() and torch.equal(w, other.weights[name]) for name, w in one.weights.items())
    assert one.score(blobs()) > 0.9


@pytest.mark.parametrize("unlearner", UNLEARNERS, ids=repr)
def test_where_there_are_no_classes(unlearner: Unlearner) -> None:
    trained, samples = ridge_trained()
    if unlearner.trains_original:
        trained = unlearner.fit(trained.task, samples, trained.recipe)  # type: ignore[attr-defined]
    unlearned = unlearner.unlearn(trained, samples, samples.ids[:4])
    assert len(unlearned.ids) == len(samples) - 4
    assert torch.isfinite(unlearned.evaluate(samples).losses).all()
