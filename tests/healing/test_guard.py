from functools import cache

import pytest
import torch
from tests.support import digit_setup

from unscathed import Healer, Samples, SpareSet, Steward, Trained, fit
from unscathed.healing.guard import guard
from unscathed.unlearners import GradientAscent


@cache
def digits() -> tuple[Trained, Samples, Samples, Samples]:
    setup = digit_setup()
    samples, spares = setup.samples.split(reserve=0.3, seed=0)
    return fit(setup.task, samples, setup.recipe, seed=0), samples, spares, setup.test


def of_one_class(samples: Samples, label: int, count: int) -> Samples:
    return samples.only([i for i, t in zip(samples.ids, samples.targets.tolist(), strict=True) if t == label][:count])


def test_twins_of_one_class_count_less_and_have_typical_spares_beside_them() -> None:
    before, retain, spares, _ = digits()
    twins = of_one_class(spares, 3, 12)
    rest = spares.without(twins.ids)
    guarded = guard(twins, rest, before, retain, seed=0)
    assert guarded.twins is not None
    drawn = guarded.twins.without(twins.ids)
    assert 0 < len(drawn) == guarded.details["drawn"] <= 3 * len(twins)
    assert set(drawn.ids) <= set(rest.ids)
    assert len(torch.unique(drawn.targets)) > 5
    assert max(guarded.weights.values()) < 0.5
    assert "class 3" in guarded.details["twins_are"]


def test_typical_twins_are_taken_as_they_are() -> None:
    before, retain, spares, _ = digits()
    rest, twins = spares.split(reserve=0.2, seed=1)
    assert guard(twins, rest, before, retain, seed=0) == (twins, {}, {})
    assert guard(twins, None, before, retain, seed=0).details == {}


@pytest.mark.parametrize("guarded", [True, False])
def test_a_steward_that_heals_on_twins_alone_is_not_led_to_one_class(guarded: bool) -> None:
    before, samples, spares, test = digits()
    reserve = SpareSet(spares, shortfall="partial")
    healer = Healer(strategy="twins", steps=60, learning_rate=1.0, guard=guarded)
    steward = Steward(before, samples, reserve, unlearner=GradientAscent(kl_budget=2.0), healer=healer, test=test)
    outcome = steward.forget(of_one_class(samples, 3, 30).ids)
    answers = outcome.trained.outputs(test).argmax(dim=1)
    most = float(torch.bincount(answers, minlength=10).max()) / len(test)
    assert (most < 0.35) == guarded, "or else there is nothing to guard from"
    details = outcome.history[-1].details
    assert ("drawn" in details) == guarded
    learned = set(outcome.trained.ids) - set(samples.ids)
    assert learned == set(reserve.spent), "what was drawn is spent, too"
    assert set(steward.samples.ids) == set(outcome.trained.ids)
