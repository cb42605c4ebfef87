"""What a stream makes of a model, on real digits."""

import json
import math
from dataclasses import replace

import pytest
import torch
from tests.support import NoOp, RandomWeights, digit_setup

from unscathed import BadInputError, Healer, Retrain, Samples, Sisa, SpareSet, Steward, Trained, Unlearner, fit
from unscathed.adversaries import EarliestSlices, ParameterAware, Random
from unscathed.streams import Benign, Endurance, Hostile, Stream, endure

MADE = digit_setup()
RECIPE = replace(MADE.recipe, epochs=15)
RETAIN, SPARES = MADE.samples.split(reserve=500, seed=0)[1].split(reserve=0.2, seed=0)
TEST, VALIDATION = MADE.test.split(reserve=0.4, seed=0)
MIXED = Stream([Benign(), Hostile(ParameterAware(10))], requests=6, batch=2)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return fit(MADE.task, RETAIN, RECIPE, seed=0)


def steward(trained: Trained, unlearner: Unlearner, healer: Healer | None = None) -> Steward:
    return Steward(trained, RETAIN, SpareSet(SPARES, shortfall="partial"), unlearner=unlearner, healer=healer)


@pytest.fixture(scope="module")
def exact(trained: Trained) -> Endurance:
    return endure(steward(trained, Retrain()), MIXED, TEST, validation=VALIDATION, gold_every=2)


def test_an_exact_unlearner_stays_at_gold(exact: Endurance) -> None:
    assert [s.requests for s in exact.steps] == [2, 4, 6]
    assert [math.isnan(s.gold) for s in exact.steps] == [True, False, False], "every second batch, and after the last"
    for step in exact.steps[1:]:
        assert step.score == step.gold
        assert step.membership == step.gold_membership
    assert exact.damage == 0
    assert all(s.unspent == len(SPARES) and s.twins == 0 for s in exact.steps)
    assert exact.cost == pytest.approx(sum(s.steps for s in exact.steps) / 6 / RECIPE.total_steps(len(RETAIN)))
    assert 0.4 < exact.cost < 0.5, "each batch of two trains anew, on a little less"


def test_steps_add_up(exact: Endurance) -> None:
    total = 0
    for step in exact.steps:
        total += step.asked
        assert step.forgotten == total
        assert step.worst_class <= step.score
        assert step.seconds > 0
    assert exact.steps[-1].hostile == round((total - (6 - exact.steps[-1].hostile)) / 10)


def test_a_model_that_never_forgot_is_seen(trained: Trained) -> None:
    stream = Stream([Hostile(Random(40))], requests=3)
    kept = endure(steward(trained, NoOp()), stream, TEST, gold_every=3)
    gone = endure(steward(trained, Retrain()), stream, TEST)
    assert [s.forgotten for s in kept.steps] == [s.forgotten for s in gone.steps]
    assert kept.steps[-1].membership > kept.steps[-1].gold_membership + 0.02
    assert gone.steps[-1].membership == kept.steps[-1].gold_membership
    assert kept.steps[-1].score == kept.original


def test_a_wrecked_model_is_seen(trained: Trained) -> None:
    found = endure(steward(trained, RandomWeights()), Stream([Benign()], requests=1), TEST, gold_every=1)
    assert found.damage > 0.5
    assert found.steps[0].worst_class == 0


def test_twins_are_spent_and_counted(trained: Trained) -> None:
    found = endure(steward(trained, NoOp(), Healer()), Stream([Hostile(Random(30))], requests=4), TEST)
    spent = 0
    for step in found.steps:
        spent += step.twins
        assert step.unspent == len(SPARES) - spent
    assert spent > 60
    assert all(s.steps > 0 for s in found.steps), "healing has a price"


def test_shards_have_a_gold_of_their_own() -> None:
    sisa = Sisa(shards=2, slices=2)
    sharded = sisa.fit(MADE.task, RETAIN, RECIPE, seed=0)
    found = endure(steward(sharded, sisa), Stream([Benign()], requests=2), TEST, gold_every=1)
    assert found.training_steps > 0
    assert all(0 < s.steps < found.training_steps for s in found.steps)
    assert not any(math.isnan(s.gold) for s in found.steps)


def test_slowing_down_costs_more_than_chance() -> None:
    sisa = Sisa(shards=3, slices=3)
    sharded = sisa.fit(MADE.task, RETAIN, RECIPE, seed=0)
    slow, usual = (
        endure(steward(sharded, sisa), Stream([Hostile(adversary)], requests=4), TEST)
        for adversary in (EarliestSlices(2), Random(2))
    )
    assert slow.cost > 1.1 * usual.cost


def test_everybody_may_leave_but_the_last(trained: Trained) -> None:
    found = endure(steward(trained, NoOp()), Stream([Hostile(Random(100))], requests=50), TEST)
    assert found.steps[-1].forgotten < len(RETAIN)
    assert "left" in found.ended


def test_it_is_told_in_text_and_json(exact: Endurance) -> None:
    lines = str(exact).splitlines()
    assert len(lines) == 6
    assert "–" in lines[2], "gold was not trained there"
    assert lines[-1].endswith("6 requests")
    kept = json.loads(json.dumps(exact.to_json(), allow_nan=False))
    assert kept["steps"][0]["gold"] is None
    assert kept["steps"][-1]["forgotten"] == exact.steps[-1].forgotten


def test_bad_input_is_refused_before_anything_is_done(trained: Trained) -> None:
    keeper = steward(trained, NoOp())
    with pytest.raises(BadInputError) as error:
        endure(keeper, MIXED, RETAIN, validation=TEST.only([]), gold_every=-1)
    assert len(error.value.problems) == 3
    with pytest.raises(
        BadInputError, match=r"test inputs are torch.float32 \(5,\), the model's torch.uint8 \(1, 8, 8\)"
    ):
        endure(keeper, MIXED, Samples(torch.zeros(3, 5), torch.zeros(3, dtype=torch.long)))
    assert keeper.trained is trained


def test_nobody_asks(trained: Trained) -> None:
    found = endure(
        steward(trained, NoOp()), Stream([Benign(owners=dict.fromkeys(RETAIN.ids, "one"))], requests=1), TEST
    )
    assert found.steps == ()
    assert "nobody" in found.ended
    assert math.isnan(found.damage)
    assert math.isnan(found.cost)
