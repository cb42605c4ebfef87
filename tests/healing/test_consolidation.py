from dataclasses import replace

import pytest
import torch
from tests.support import blobs, tiny_task

from unscathed import BadInputError, Fisher, Healer, Recipe, Retrain, Sisa, SpareSet, Steward, Trained, fit
from unscathed.healing import Consolidation, Escalation, StartOver, Wear, consolidate
from unscathed.training import Event

RECIPE = Recipe(epochs=10, batch_size=8)
SAMPLES = blobs(60)
HELD_OUT = blobs(90, seed=9)


@pytest.fixture(scope="module")
def original() -> Trained:
    return fit(tiny_task(), SAMPLES, RECIPE, seed=0)


def worn(trained: Trained, *events: tuple[str, int, int]) -> Trained:
    """With so many events more: kind, samples, steps."""
    made = [Event(kind=kind, by="", samples=samples, steps=steps, seconds=0.5) for kind, samples, steps in events]
    return replace(trained, history=(*trained.history, *made))


def test_wear_is_counted_since_the_last_training_from_scratch(original: Trained) -> None:
    fresh = Wear.of(original)
    assert fresh == Wear(requests=0, forgotten=0, steps=0, seconds=0.0, fit_steps=70)
    model = worn(original, ("unlearned", 3, 7), ("healed", 60, 14), ("unlearned", 1, 7))
    wear = Wear.of(model)
    assert wear == Wear(requests=2, forgotten=4, steps=28, seconds=1.5, fit_steps=70)
    assert wear.spent == pytest.approx(0.4)
    assert str(wear) == (
        "2 requests for 4 samples since the last training from scratch, 28 steps (0.40 of that training's)"
    )
    retrained = Retrain().unlearn(model, SAMPLES, SAMPLES.ids[:1])
    assert Wear.of(retrained) == replace(fresh, fit_steps=retrained.history[-1].steps)
    left = SAMPLES.without(SAMPLES.ids[:1])
    over = Escalation(rungs=(StartOver(),), enough=lambda _: True).heal(
        worn(retrained, ("unlearned", 1, 7)), retain=left
    )
    assert Wear.of(over).requests == 0
    with pytest.raises(BadInputError, match="no training from scratch"):
        Wear.of(replace(original, history=()))


def test_it_is_due_when_requests_cost_as_much_as_training(original: Trained) -> None:
    policy = Consolidation(spent=1.0, forgotten=None)
    one = worn(original, ("unlearned", 1, 30), ("healed", 60, 39))
    assert policy.due(one) is None
    assert policy.due(worn(one, ("unlearned", 1, 1))) == "2 requests took 70 steps, and training from scratch took 70"
    assert Consolidation().due(worn(one, ("unlearned", 1, 900))) is None


def test_it_is_due_when_much_was_forgotten_or_asked(original: Trained) -> None:
    model = worn(original, ("unlearned", 11, 0))
    assert Consolidation().due(model) is None
    assert "12 samples were forgotten" in str(Consolidation().due(worn(model, ("unlearned", 1, 0))))
    assert "2 requests were honoured" in str(Consolidation(requests=2).due(worn(model, ("unlearned", 0, 0))))
    assert Consolidation(requests=3).due(worn(model, ("unlearned", 0, 0))) is None


def test_it_is_due_when_the_held_out_score_fell_more_than_by_chance(original: Trained) -> None:
    reference = original.evaluate(HELD_OUT)
    policy = Consolidation()
    model = worn(original, ("unlearned", 1, 1))
    assert policy.due(model, held_out=HELD_OUT, reference=reference) is None
    weights = {**model.weights, "2.bias": model.weights["2.bias"] + torch.tensor([0.0, 50.0, 0.0])}
    fallen = replace(model, weights=weights)
    reason = policy.due(fallen, held_out=HELD_OUT, reference=reference)
    assert reason is not None
    assert reason.startswith("the held-out score fell from ")
    assert "to 0.3333 in 1 requests, by more than 0.01 and than chance" in reason
    assert Consolidation(drop=0.9).due(fallen, held_out=HELD_OUT, reference=reference) is None

    # One answer of 90 is more than the limit, and no more than chance.
    scores = fallen.evaluate(HELD_OUT).scores.clone()
    scores[(scores == 0).nonzero()[0]] = 1
    chance = replace(reference, scores=scores)
    assert float((chance.scores - fallen.evaluate(HELD_OUT).scores).mean()) > 0.01
    assert policy.due(fallen, held_out=HELD_OUT, reference=chance) is None
    # And a model that nothing was asked of is left alone, however bad.
    assert policy.due(replace(original, weights=weights), held_out=HELD_OUT, reference=reference) is None


def test_a_loop_of_requests_with_consolidation(original: Trained) -> None:
    reserve = SpareSet(blobs(60, seed=5), shortfall="partial")
    gentle, healer = Fisher(kl_budget=1e-3), Healer(steps=20)
    steward = Steward(original, SAMPLES, reserve, unlearner=gentle, healer=healer, test=HELD_OUT)
    policy, reference = Consolidation(spent=1.0), original.evaluate(HELD_OUT)
    reasons = []
    for request in range(6):
        steward.forget(SAMPLES.ids[2 * request : 2 * request + 2])
        reason = policy.due(steward.trained, held_out=HELD_OUT, reference=reference)
        if reason:
            steward.trained = consolidate(steward.trained, steward.samples)
            reference = steward.trained.evaluate(HELD_OUT)
            reasons.append(reason)
    # Each request takes 20 steps of healing and 8 of Fisher information; training takes 70.
    assert len(reasons) == 2
    assert all(reason.startswith("3 requests took 8") for reason in reasons)
    kinds = [event.kind for event in steward.trained.history]
    assert kinds == ["fitted", *["unlearned", "healed"] * 3, "fitted", *["unlearned", "healed"] * 3, "fitted"]
    assert not set(steward.trained.ids) & set(SAMPLES.ids[:12])
    assert steward.trained.score(HELD_OUT) > 0.9


def test_consolidating_is_training_from_scratch(original: Trained) -> None:
    left = SAMPLES.without(SAMPLES.ids[:6])
    unlearned = Fisher(kl_budget=3.0).unlearn(original, SAMPLES, SAMPLES.ids[:6])
    fresh = consolidate(unlearned, left)
    gold = fit(tiny_task(), left, RECIPE, seed=0)
    assert all(torch.equal(fresh.weights[n], gold.weights[n]) for n in gold.weights)
    assert fresh.ids == left.ids
    event = fresh.history[-1]
    assert (event.kind, event.by, event.samples, event.steps) == ("fitted", "consolidate", 54, 60)
    assert fresh.history[:-1] == unlearned.history

    sisa = Sisa(shards=2, slices=2)
    sharded = sisa.unlearn(sisa.fit(tiny_task(), SAMPLES, RECIPE, seed=0), SAMPLES, SAMPLES.ids[:6])
    again = consolidate(replace(sharded, weights={n: w + 1 for n, w in sharded.weights.items()}), left)
    assert all(torch.equal(again.weights[n], sharded.weights[n]) for n in sharded.weights), "Sisa is exact"
    assert again.shards == sharded.shards


def test_what_cannot_be_is_named_at_once(original: Trained) -> None:
    with pytest.raises(BadInputError, match="4 problems"):
        Consolidation(drop=0, spent=-1, forgotten=0, requests=0)
    with pytest.raises(BadInputError, match="give both, or neither"):
        Consolidation().due(original, held_out=HELD_OUT)
    with pytest.raises(BadInputError) as caught:
        Consolidation().due(original, held_out=SAMPLES, reference=original.evaluate(HELD_OUT))
    assert "2 problems" in str(caught.value)
    unlearned = Fisher().unlearn(original, SAMPLES, SAMPLES.ids[:6])
    with pytest.raises(BadInputError, match="6 samples are not in the model"):
        consolidate(unlearned, SAMPLES)
    with pytest.raises(BadInputError, match="48 samples of the model are missing"):
        consolidate(unlearned, SAMPLES.only(SAMPLES.ids[6:12]))
