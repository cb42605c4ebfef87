from dataclasses import replace

import pytest
import torch
from tests.support import blobs, tiny_task
from torch import nn

from unscathed import BadInputError, ClassificationTask, Fisher, Healer, Recipe, Samples, Sisa, Trained, fit
from unscathed.healing import Strategy

RECIPE = Recipe(epochs=20, batch_size=8)
SAMPLES = blobs(60)
FORGET = SAMPLES.ids[:6]
RETAIN = SAMPLES.without(FORGET)
TWINS = blobs(6, seed=7)


@pytest.fixture(scope="module")
def damaged() -> Trained:
    original = fit(tiny_task(), SAMPLES, RECIPE, seed=0)
    return Fisher(kl_budget=0.3).unlearn(original, SAMPLES, FORGET)


@pytest.mark.parametrize("strategy", ["retain+twins", "retain", "twins"])
def test_healing_mends_a_damaged_model(damaged: Trained, strategy: Strategy) -> None:
    test = blobs(300, seed=9)
    assert damaged.score(test) < 0.8
    healed = Healer(strategy=strategy, steps=500).heal(damaged, retain=RETAIN, twins=TWINS)
    assert healed.score(test) > 0.9
    event = healed.history[-1]
    assert (event.kind, event.steps) == ("healed", 500)
    retained, twins = 54 * (strategy != "twins"), 6 * (strategy != "retain")
    assert event.details == {"retained": retained, "twins": twins}
    assert event.samples == retained + twins
    assert set(healed.ids) == set(damaged.ids) | (set(TWINS.ids) if twins else set())
    assert not set(healed.ids) & set(FORGET)


def test_the_default_duration_is_a_tenth_of_the_originals(damaged: Trained) -> None:
    fitted = damaged.history[0].steps
    assert Healer().heal(damaged, retain=RETAIN, twins=TWINS).history[-1].steps == round(fitted / 10)
    few = Healer(strategy="twins").heal(damaged, twins=TWINS.only(TWINS.ids[:1])).history[-1].steps
    assert few == 10, "no more than N/2 passes: N is 20, and one twin is one step"
    by_epochs = Healer(epochs=2).heal(damaged, retain=RETAIN, twins=TWINS)
    assert by_epochs.history[-1].steps == 2 * (60 // 8)


def test_healing_repeats_itself_and_does_not_repeat_the_last_healing(damaged: Trained) -> None:
    healer = Healer(steps=5)
    one, other = (healer.heal(damaged, retain=RETAIN, twins=TWINS) for _ in range(2))
    assert all(torch.equal(one.weights[n], other.weights[n]) for n in one.weights)
    third = healer.heal(damaged, retain=RETAIN, twins=TWINS, seed=1)
    assert any(not torch.equal(one.weights[n], third.weights[n]) for n in one.weights)


@pytest.mark.parametrize("strategy", ["retain+twins", "retain", "twins"])
def test_normalisation_follows_what_is_healed_on(strategy: Strategy) -> None:
    """Frozen statistics made healing on twins alone diverge on CIFAR-10 at the healer's own learning rate."""
    task = ClassificationTask(lambda: nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)), 3)
    trained = fit(task, RETAIN, RECIPE, seed=0)
    healed = Healer(strategy=strategy, steps=5).heal(trained, retain=RETAIN, twins=TWINS)
    assert not torch.equal(healed.weights["1.running_mean"], trained.weights["1.running_mean"])


def test_no_twins_left_is_not_the_end(damaged: Trained) -> None:
    healed = Healer(steps=3).heal(damaged, retain=RETAIN, twins=None)
    assert healed.history[-1].details == {"retained": 54, "twins": 0}


def test_twins_that_are_training_data_already_are_trained_on_once(damaged: Trained) -> None:
    again = RETAIN.only(RETAIN.ids[:3])
    healed = Healer(steps=3).heal(damaged, retain=RETAIN, twins=again + TWINS)
    assert healed.history[-1].details == {"retained": len(RETAIN) - 3, "twins": len(TWINS) + 3}
    assert len(set(healed.ids)) == len(healed.ids) == len(RETAIN) + len(TWINS)
    assert set(Healer(strategy="twins", steps=3).heal(damaged, twins=again).ids) == set(damaged.ids)


def test_shards_keep_the_twins_that_they_have() -> None:
    trained = Sisa(shards=3).fit(tiny_task(), RETAIN, Recipe(epochs=1, batch_size=16), seed=0)
    again = RETAIN.only(RETAIN.ids[:4])
    healed = Healer(strategy="twins", steps=3).heal(trained, twins=again + TWINS)
    members = [i for slices in healed.shards for part in slices for i in part]
    assert len(set(members)) == len(members) == len(RETAIN) + len(TWINS)
    homes = {i: n for n, slices in enumerate(trained.shards) for part in slices for i in part}
    assert all(i in [j for part in healed.shards[homes[i]] for j in part] for i in again.ids)


def test_what_is_missing_or_must_not_be_trained_on_is_named(damaged: Trained) -> None:
    with pytest.raises(BadInputError, match="retained samples are missing"):
        Healer().heal(damaged, twins=TWINS)
    with pytest.raises(BadInputError, match="there are no twins"):
        Healer(strategy="twins").heal(damaged, retain=RETAIN)
    with pytest.raises(BadInputError, match="6 retained samples are not in the model: healing on them would teach"):
        Healer().heal(damaged, retain=SAMPLES, twins=TWINS)
    with pytest.raises(BadInputError, match="no history to take a duration from"):
        Healer().heal(replace(damaged, history=()), retain=RETAIN, twins=TWINS)
    with pytest.raises(BadInputError, match="out of range"):
        Healer().heal(damaged, retain=RETAIN, twins=Samples(torch.ones(1, 3), [9]))


def test_healers_that_cannot_be() -> None:
    with pytest.raises(BadInputError) as caught:
        Healer(strategy="hope", epochs=1, steps=-1)  # type: ignore[arg-type]
    assert "3 problems" in str(caught.value)


def test_shards_are_healed_apart_so_that_later_requests_stay_exact() -> None:
    """After healing, forgetting a sample must leave no trace of it in any shard."""
    sisa = Sisa(shards=2, slices=2)
    trained = sisa.fit(tiny_task(), SAMPLES, RECIPE, seed=0)
    unlearned = sisa.unlearn(trained, SAMPLES, FORGET)
    healed = Healer(steps=20).heal(unlearned, retain=RETAIN, twins=TWINS)
    assert set(healed.ids) == set(RETAIN.ids) | set(TWINS.ids)
    assert sorted(i for s in healed.shards for part in s for i in part) == sorted(healed.ids)
    assert healed.history[-1].kind == "healed"
    assert healed.history[-1].steps == 20

    # Shard 0 must come out the same whether or not shard 1 held a certain sample.
    victim = next(i for i in unlearned.shards[1][0])
    without = Healer(steps=20).heal(unlearned, retain=RETAIN.without([victim]), twins=None)
    with_it = Healer(steps=20).heal(unlearned, retain=RETAIN, twins=None)
    own = [n for n in without.weights if n.startswith("members.0.")]
    assert all(torch.equal(without.weights[n], with_it.weights[n]) for n in own)
    other = [n for n in without.weights if n.startswith("members.1.")]
    assert any(not torch.equal(without.weights[n], with_it.weights[n]) for n in other)

    # And a twin that was adopted can be forgotten like any sample.
    again = sisa.unlearn(healed, RETAIN + TWINS, TWINS.ids[:1])
    assert TWINS.ids[0] not in again.ids
    assert again.history[-1].details["shards_trained"] == 1


@pytest.mark.parametrize("fit_with", [None, Sisa(shards=2, slices=1)])
def test_a_healed_model_does_not_tell_which_spare_stands_in_for_which_sample(fit_with: Sisa | None) -> None:
    """Twins come in the order of the request, and were chosen by what the forgotten samples looked like."""
    fitted = fit_with.fit(tiny_task(), RETAIN, RECIPE, seed=0) if fit_with else fit(tiny_task(), RETAIN, RECIPE, seed=0)
    healer = Healer(steps=5)
    one, other = (healer.heal(fitted, retain=RETAIN, twins=TWINS.only(i)) for i in (TWINS.ids, TWINS.ids[::-1]))
    assert (one.ids, one.shards) == (other.ids, other.shards)
    assert all(torch.equal(one.weights[n], other.weights[n]) for n in one.weights)
