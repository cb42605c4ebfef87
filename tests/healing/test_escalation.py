import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from tests.support import RandomWeights, blobs, tiny_task
from torch import nn

from unscathed import (
    BadInputError,
    Callback,
    ClassificationTask,
    Fisher,
    Healer,
    Recipe,
    Samples,
    Sisa,
    SpareSet,
    Steward,
    Trained,
    fit,
)
from unscathed.healing import Escalation, Heal, Repair, Resume, Rung, StartOver, Watchful
from unscathed.healing.case import Case
from unscathed.training import tune

RECIPE = Recipe(epochs=20, batch_size=8)
SAMPLES = blobs(60)
FORGET = SAMPLES.ids[:6]
RETAIN = SAMPLES.without(FORGET)
TWINS = blobs(6, seed=7)
HELD_OUT = blobs(90, seed=9)
GOLD = 20 * (60 // 8)


@pytest.fixture(scope="module")
def original() -> Trained:
    return fit(tiny_task(), SAMPLES, RECIPE, seed=0)


@pytest.fixture(scope="module")
def damaged(original: Trained) -> Trained:
    return Fisher(kl_budget=3.0).unlearn(original, SAMPLES, FORGET)


@dataclass(frozen=True, kw_only=True)
class Marked(Rung):
    """Costs so many steps and leaves its mark in the history; nothing else."""

    mark: str
    price: int = 1
    clean: bool = False  # type: ignore[misc]

    def steps(self, case: Case) -> int:
        return self.price

    def climb(self, case: Case, healer: Healer, callbacks: Sequence[Callback]) -> Trained:
        return Heal(share=self.price / case.gold_steps).climb(case, healer, callbacks)


def climbed(model: Trained) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = model.history[-1].details["rungs"]
    return told


def test_it_stops_where_the_model_is_whole(original: Trained, damaged: Trained) -> None:
    assert damaged.score(HELD_OUT) < 0.9
    rungs = (Heal(share=0.02, learning_rate=0.2), Heal(share=0.5, learning_rate=0.2), StartOver())
    escalation = Escalation(rungs=rungs)
    healed = escalation.heal(damaged, retain=RETAIN, twins=TWINS, before=original, held_out=HELD_OUT)
    event = healed.history[-1]
    assert (event.kind, event.by, event.samples) == ("healed", repr(escalation), 60)
    assert len(healed.history) == len(damaged.history) + 1
    assert event.details["enough"]
    assert event.details["gold_steps"] == GOLD
    assert set(healed.ids) == set(RETAIN.ids) | set(TWINS.ids)
    first, *_, last = climbed(healed)
    assert first["rung"] == "Heal(share=0.02, learning_rate=0.2)"
    assert first["steps"] == first["expected_steps"] == 3
    assert not first["enough"]
    assert last["enough"]
    assert last["score"] == pytest.approx(healed.score(HELD_OUT))
    assert event.steps == sum(told.get("steps", 0) for told in climbed(healed))
    assert json.loads(json.dumps(event.details)) == event.details


def test_a_rung_that_does_not_satisfy_is_followed_by_the_next(damaged: Trained) -> None:
    asked: list[Trained] = []

    def third_time(model: Trained) -> bool:
        asked.append(model)
        return len(asked) == 3

    rungs = tuple(Marked(mark=mark) for mark in "abcd")
    healed = Escalation(rungs=rungs, enough=third_time).heal(damaged, retain=RETAIN, twins=TWINS)
    assert [told["rung"].split("'")[1] for told in climbed(healed)] == ["a", "b", "c"]
    assert [told["enough"] for told in climbed(healed)] == [False, False, True]
    assert all(torch.equal(asked[-1].weights[n], healed.weights[n]) for n in healed.weights)
    assert any(not torch.equal(asked[0].weights[n], asked[1].weights[n]) for n in healed.weights)


def test_it_never_spends_more_than_gold_and_a_tenth(original: Trained, damaged: Trained) -> None:
    never = Escalation(enough=lambda _: False)
    healed = never.heal(damaged, retain=RETAIN, twins=TWINS, before=original)
    assert healed.history[-1].steps <= 1.1 * GOLD
    assert healed.history[-1].details["started_over"]
    assert not healed.history[-1].details["enough"]
    passed = [told for told in climbed(healed) if "passed_over" in told]
    assert any("kept back for StartOver(share=1.0)" in told["passed_over"] for told in passed)

    # The price of a rung decides: with the last kept back, a tenth of gold is left.
    rungs = (Marked(mark="fits", price=GOLD // 10), Marked(mark="does not", price=2), StartOver())
    told = climbed(replace(never, rungs=rungs).heal(damaged, retain=RETAIN, twins=TWINS))
    assert ["passed_over" in t for t in told] == [False, True, False]
    told = climbed(replace(never, rungs=rungs, ceiling=1.2).heal(damaged, retain=RETAIN, twins=TWINS))
    assert ["passed_over" in t for t in told] == [False, False, False]
    # Where the last cannot be tried at all, nothing is kept back for it.
    rungs = (Marked(mark="dear", price=GOLD), StartOver())
    twins_only = Escalation(rungs=rungs, healer=Healer(strategy="twins"), enough=lambda _: False)
    told = climbed(twins_only.heal(damaged, twins=TWINS))
    assert [t.get("passed_over") for t in told] == [None, "retained samples are not at hand"]


def test_starting_over_holds_what_it_was_given_and_is_gold_with_twins(damaged: Trained) -> None:
    some = RETAIN.without(RETAIN.ids[:4])
    healed = Escalation(rungs=(StartOver(),), enough=lambda _: True).heal(damaged, retain=some, twins=TWINS)
    gold = fit(tiny_task(), some + TWINS, RECIPE, seed=0)
    assert healed.ids == gold.ids == (*some.ids, *TWINS.ids)
    assert all(torch.equal(healed.weights[n], gold.weights[n]) for n in gold.weights)
    assert healed.history[-1].steps == gold.history[-1].steps
    assert healed.history[:-1] == damaged.history
    assert not set(healed.ids) & set(FORGET)


def test_starting_over_for_fewer_steps_is_short_retraining_on_twins_too(damaged: Trained) -> None:
    short = StartOver(share=0.25)
    healed = Escalation(rungs=(short,), enough=lambda _: True).heal(damaged, retain=RETAIN, twins=TWINS)
    fitted = fit(tiny_task(), RETAIN + TWINS, RECIPE.lasting(steps=GOLD // 4), seed=0)
    assert all(torch.equal(healed.weights[n], fitted.weights[n]) for n in fitted.weights)
    assert healed.history[-1].steps == GOLD // 4
    assert healed.recipe == RECIPE  # for later requests
    with pytest.raises(BadInputError, match=r"share=1\.5 must lie in 0 < share ≤ 1"):
        StartOver(share=1.5)


def test_starting_over_from_a_warm_start_refuses_one_that_knows_the_forgotten(
    original: Trained, damaged: Trained
) -> None:
    others = blobs(24, seed=11)
    start = fit(tiny_task(), others, RECIPE, seed=5)
    short = StartOver(share=0.1, start=start)
    escalation = Escalation(rungs=(short,), enough=lambda _: True)
    assert escalation.brings == Watchful(healer=escalation).brings == others.ids
    healed = escalation.heal(damaged, retain=RETAIN, twins=TWINS)
    steps = GOLD // 10
    slow = replace(RECIPE.lasting(steps=steps), learning_rate=RECIPE.learning_rate / 2)
    by_hand = tune(start, RETAIN + TWINS, slow, seed=0, kind="fitted", by="hand")
    assert all(torch.equal(healed.weights[n], by_hand.weights[n]) for n in by_hand.weights)
    assert set(healed.ids) == {*RETAIN.ids, *TWINS.ids, *others.ids}
    assert (healed.history[-1].steps, climbed(healed)[-1]["did"][-1]["warm_start"]) == (steps, 24)
    # Twins and spares stay distinct from what the start brings.
    reserve = SpareSet(others, shortfall="partial")
    with pytest.raises(BadInputError, match="24 unspent spares are what a warm start was trained on"):
        Steward(original, SAMPLES, reserve, unlearner=Fisher(), healer=escalation)

    knowing = StartOver(share=0.1, start=fit(tiny_task(), others + SAMPLES.only(FORGET[:1]), RECIPE, seed=5))
    rungs = (Heal(share=0.02, learning_rate=0.2), knowing)
    healed = Escalation(rungs=rungs, enough=lambda _: False).heal(damaged, retain=RETAIN, twins=TWINS, before=original)
    assert "start was trained on 1 samples that are forgotten now" in climbed(healed)[-1]["passed_over"]


def test_memory_is_not_healed_further(damaged: Trained) -> None:
    rungs = (Heal(share=0.02), Heal(share=0.03), StartOver())

    def remembers(model: Trained) -> bool:
        return not model.history[-1].details.get("started_over", False)

    healed = Escalation(rungs=rungs, enough=lambda _: True, remembers=remembers).heal(
        damaged, retain=RETAIN, twins=TWINS
    )
    first, second, last = climbed(healed)
    assert first["enough"]
    assert first["remembers"]
    assert "shows memory of the forgotten" in second["passed_over"]
    assert (last["enough"], last["remembers"]) == (True, False)
    assert healed.history[-1].details["started_over"]


def test_the_best_is_kept_where_none_is_enough(original: Trained, damaged: Trained) -> None:
    wreck = Heal(share=0.05, learning_rate=1e6)
    escalation = Escalation(rungs=(Heal(share=0.5), wreck), target=2.0)
    healed = escalation.heal(damaged, retain=RETAIN, twins=TWINS, held_out=HELD_OUT)
    good, bad = climbed(healed)
    assert healed.history[-1].details["kept"] == good["rung"]
    assert good["score"] > bad["score"]
    assert healed.score(HELD_OUT) == pytest.approx(good["score"])
    assert not healed.history[-1].details["enough"]
    assert healed.history[-1].steps == good["steps"] + bad["steps"], "what was of no use was spent nevertheless"


def test_repair_mends_what_was_destroyed(original: Trained) -> None:
    wrecked = {**original.weights, "2.weight": 1e3 * torch.randn(3, 8, generator=torch.Generator().manual_seed(0))}
    damaged = replace(RandomWeights().unlearn(original, SAMPLES, FORGET), weights=wrecked)
    escalation = Escalation(rungs=(Repair(share=0.1, threshold=1.0),))
    healed = escalation.heal(damaged, retain=RETAIN, twins=TWINS, before=original, held_out=HELD_OUT)
    did = climbed(healed)[0]["did"]
    assert did[0]["layers"] == ["2"]
    assert did[-1]["by"].startswith("Healer")
    assert healed.score(HELD_OUT) > damaged.score(HELD_OUT) + 0.2
    beyond = Repair(share=0.1, threshold=float("inf"))
    told = climbed(Escalation(rungs=(beyond,), enough=lambda _: True).heal(damaged, retain=RETAIN, before=original))
    assert told[0]["did"][0]["layers"] == ["2"], "the worst, since the model has collapsed"
    little = Fisher(kl_budget=1e-4).unlearn(original, SAMPLES, FORGET)
    escalation = Escalation(rungs=(Repair(share=0.1),), enough=lambda _: True)
    for model, given in ((little, original), (damaged, None)):
        told = climbed(escalation.heal(model, retain=RETAIN, before=given))
        assert [did["by"].split("(")[0] for did in told[0]["did"]] == ["Healer"], "what is finite stays"


def test_a_collapsed_model_is_repaired_at_once(original: Trained, damaged: Trained) -> None:
    assert original.score(RETAIN) - damaged.score(RETAIN) > 0.3
    healed = Escalation(target=2.0).heal(damaged, retain=RETAIN, twins=TWINS, before=original, held_out=HELD_OUT)
    did = ["passed_over" not in told for told in climbed(healed)]
    assert did == [False, True, False, False, False, True], "repair for all that is left, and then over again"
    assert "collapsed" in climbed(healed)[0]["passed_over"]
    little = Fisher(kl_budget=1e-4).unlearn(original, SAMPLES, FORGET)
    healed = Escalation(target=2.0).heal(little, retain=RETAIN, twins=TWINS, before=original, held_out=HELD_OUT)
    did = ["passed_over" not in told for told in climbed(healed)]
    assert did == [True, False, True, False, False, True], "gently first"


def test_repair_counts_what_statistics_cost() -> None:
    task = ClassificationTask(lambda: nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)), 3)
    trained = fit(task, RETAIN, RECIPE, seed=0)
    told = climbed(
        Escalation(rungs=(Repair(share=0.1, recalibrated=True),), enough=lambda _: True).heal(trained, retain=RETAIN)
    )[0]
    assert [did.get("repair") for did in told["did"]] == ["recalibrate", None]
    assert told["steps"] == told["expected_steps"] == 12 + 3, "a third of a step for each of 54 / 8 batches"


def test_values_that_are_not_finite_are_no_end(damaged: Trained) -> None:
    broken = replace(damaged, weights={**damaged.weights, "2.bias": torch.full((3,), float("nan"))})
    healed = Escalation(target=0.9).heal(broken, retain=RETAIN, twins=TWINS, held_out=HELD_OUT)
    first, _, third, *_ = climbed(healed)
    assert "diverged" in first["failed"]
    assert third["did"][0]["layers"] == ["2"]
    assert all(torch.isfinite(w).all() for w in healed.weights.values())
    assert healed.history[-1].steps <= 1.1 * GOLD
    with pytest.raises(BadInputError, match=r"cannot heal by any rung: .*diverged"):
        Escalation(rungs=(Heal(share=0.1),), enough=lambda _: True).heal(broken, retain=RETAIN)


@pytest.fixture(scope="module")
def sharded() -> Trained:
    sisa = Sisa(shards=2, slices=2)
    return sisa.unlearn(sisa.fit(tiny_task(), SAMPLES, RECIPE, seed=0), SAMPLES, FORGET)


def test_shards_go_back_to_their_last_checkpoint(sharded: Trained) -> None:
    """What results is what Sisa makes of these shards; a later request stays exact."""
    weights = {name: torch.zeros_like(w) for name, w in sharded.weights.items()}
    damaged = replace(sharded, weights=weights)
    resumed = Escalation(rungs=(Resume(),), enough=lambda _: True).heal(damaged, retain=RETAIN, twins=None)
    assert all(torch.equal(resumed.weights[n], sharded.weights[n]) for n in sharded.weights)
    told = climbed(resumed)[0]
    assert told["steps"] == told["expected_steps"] < resumed.history[-1].details["gold_steps"]

    with_twins = Escalation(rungs=(Resume(),), enough=lambda _: True).heal(damaged, retain=RETAIN, twins=TWINS)
    assert sorted(i for s in with_twins.shards for part in s for i in part) == sorted(with_twins.ids)
    assert set(with_twins.ids) == set(RETAIN.ids) | set(TWINS.ids)
    assert all(with_twins.shards[s][0] == sharded.shards[s][0] for s in range(2)), "twins join last slices"
    again = Sisa(shards=2, slices=2).unlearn(with_twins, RETAIN + TWINS, TWINS.ids[:1])
    assert again.history[-1].details["shards_trained"] == 1


def test_shards_start_over_in_their_layout(sharded: Trained) -> None:
    healed = Escalation(rungs=(StartOver(),), enough=lambda _: True).heal(sharded, retain=RETAIN, twins=TWINS)
    fresh = Sisa(shards=2, slices=2).fit(tiny_task(), RETAIN + TWINS, RECIPE, seed=0, layout=healed.shards)
    assert all(torch.equal(healed.weights[n], fresh.weights[n]) for n in fresh.weights)
    told = climbed(healed)[0]
    assert told["steps"] == told["expected_steps"] == healed.history[-1].details["gold_steps"]
    assert healed.history[-1].details["started_over"]
    plain = Escalation(rungs=(Resume(), Heal(share=0.1)), enough=lambda _: True)
    single = fit(tiny_task(), RETAIN, RECIPE, seed=0)
    assert "not in shards" in climbed(plain.heal(single, retain=RETAIN))[0]["passed_over"]
    whole = Sisa(shards=2, slices=1).fit(tiny_task(), RETAIN, RECIPE, seed=0)
    assert "one slice each" in climbed(plain.heal(whole, retain=RETAIN))[0]["passed_over"]
    without = replace(sharded, checkpoints={})
    assert "lacks the checkpoints" in climbed(plain.heal(without, retain=RETAIN, twins=TWINS))[0]["passed_over"]


def test_shards_are_healed_for_what_was_expected(sharded: Trained) -> None:
    rungs = (Heal(share=0.001), Heal(share=0.06), Repair(share=0.035, recalibrated=True))
    healed = Escalation(rungs=rungs, enough=lambda _: False).heal(sharded, retain=RETAIN, twins=TWINS)
    assert [told["steps"] for told in climbed(healed)] == [told["expected_steps"] for told in climbed(healed)]
    assert climbed(healed)[0]["steps"] == 2


def test_a_steward_can_heal_by_it(original: Trained) -> None:
    reserve = SpareSet(blobs(30, seed=5), shortfall="partial")
    escalation = Escalation(target=0.95, held_out=HELD_OUT)
    steward = Steward(original, SAMPLES, reserve, unlearner=Fisher(kl_budget=3.0), healer=escalation)  # type: ignore[arg-type]
    for asked in (SAMPLES.ids[:3], SAMPLES.ids[3:6]):
        outcome = steward.forget(asked)
        assert outcome.trained.history[-1].by == repr(escalation)
        assert set(outcome.trained.ids) == set(steward.samples.ids)
    assert not set(steward.trained.ids) & set(SAMPLES.ids[:6])
    assert repr(escalation) == repr(eval(repr(escalation)))
    assert escalation.needs_before
    assert [e.needs_held_out for e in (escalation, Escalation(enough=bool), Escalation())] == [False, False, True]


def test_what_is_missing_is_named_before_anything_starts(original: Trained, damaged: Trained) -> None:
    with pytest.raises(BadInputError) as caught:
        Escalation().heal(damaged, retain=SAMPLES)
    assert "3 problems" in str(caught.value)
    for said in ("6 retained samples are not in the model", "nothing to judge", "no score to reach"):
        assert said in str(caught.value)
    with pytest.raises(BadInputError, match="6 held-out samples are healed on"):
        Escalation(target=1.0).heal(damaged, retain=RETAIN, twins=TWINS, held_out=HELD_OUT + TWINS)
    with pytest.raises(BadInputError, match="nothing to heal on"):
        Escalation(enough=lambda _: True).heal(damaged)
    with pytest.raises(
        BadInputError, match=r"cannot heal by any rung: StartOver\(share=1\.0\): retained samples are not at hand"
    ):
        Escalation(rungs=(StartOver(),), healer=Healer(strategy="twins"), enough=lambda _: True).heal(
            damaged, twins=TWINS
        )
    with pytest.raises(BadInputError, match="out of range"):
        Escalation(enough=lambda _: True).heal(damaged, retain=RETAIN, twins=Samples(torch.ones(1, 3), [9]))


def test_escalations_that_cannot_be() -> None:
    with pytest.raises(BadInputError) as caught:
        Escalation(rungs=(), tolerance=-1, ceiling=0, healer=Healer(steps=3))
    assert "4 problems" in str(caught.value)
    for make in (
        lambda: Heal(share=0),
        lambda: Repair(share=0.1, threshold=-1),
        lambda: Heal(share=1, learning_rate=0),
    ):
        with pytest.raises(BadInputError, match="must be positive"):
            make()
