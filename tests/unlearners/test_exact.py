"""Retrain and SISA are exact: to the bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import blobs, digit_setup, one_thread, tiny_task

from unscathed import BadInputError, Recipe, Retrain, Sisa, Trained, fit
from unscathed.executors import Local

RECIPE = Recipe(epochs=4, batch_size=8)


def same(one: Trained, other: Trained) -> bool:
    return one.weights.keys() == other.weights.keys() and all(
        torch.equal(one.weights[name], other.weights[name]) for name in one.weights
    )


def test_retraining_is_gold() -> None:
    forget = blobs().ids[5:15]
    trained = fit(tiny_task(), blobs(), RECIPE, seed=3)
    gold = fit(tiny_task(), blobs().without(forget), RECIPE, seed=3)
    unlearned = Retrain().unlearn(trained, blobs(), forget)
    assert same(unlearned, gold)
    assert unlearned.history[-1].steps == gold.history[0].steps
    assert not same(unlearned, trained)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.sets(st.integers(0, 59), min_size=1, max_size=12),
    st.sampled_from([RECIPE, RECIPE.lasting(steps=9)]),
)
def test_sisa_equals_training_without_the_forgotten(shards: int, slices: int, places: set[int], recipe: Recipe) -> None:
    sisa = Sisa(shards=shards, slices=slices)
    forget = [blobs().ids[p] for p in sorted(places)]
    trained = sisa.fit(tiny_task(), blobs(), recipe, seed=1)
    unlearned = sisa.unlearn(trained, blobs(), forget)
    layout = tuple(tuple(tuple(i for i in part if i not in forget) for part in slices) for slices in trained.shards)
    if any(not any(part) for part in layout):
        return
    scratch = sisa.fit(tiny_task(), blobs().without(forget), trained.recipe, seed=1, layout=layout)
    assert same(unlearned, scratch)
    assert unlearned.shards == scratch.shards == layout
    assert unlearned.checkpoints.keys() == scratch.checkpoints.keys()
    for name, state in scratch.checkpoints.items():
        assert all(torch.equal(state[w], unlearned.checkpoints[name][w]) for w in state)


def test_only_what_saw_the_forgotten_is_trained_again() -> None:
    sisa = Sisa(shards=3, slices=2)
    trained = sisa.fit(tiny_task(), blobs(), RECIPE, seed=1)
    late = trained.shards[1][1][0]
    unlearned = sisa.unlearn(trained, blobs(), [late])
    assert unlearned.history[-1].details == {"shards_trained": 1}
    for name, weight in unlearned.weights.items():
        if not name.startswith("members.1."):
            assert torch.equal(weight, trained.weights[name])
    assert unlearned.checkpoints["shard-1/slice-0"] is trained.checkpoints["shard-1/slice-0"]
    early = trained.shards[1][0][0]
    assert sisa.unlearn(trained, blobs(), [early]).history[-1].steps > unlearned.history[-1].steps


def test_slicing_does_not_change_the_samples_seen() -> None:
    """The cost of training in slices is that of training without: (2 / (R + 1)) Σ r/R = 1."""
    big = blobs(960)
    recipe = Recipe(epochs=6, batch_size=8)
    whole = Sisa(shards=1, slices=1).fit(tiny_task(), big, recipe, seed=0).history[0].steps
    sliced = Sisa(shards=2, slices=4).fit(tiny_task(), big, recipe, seed=0).history[0].steps
    assert sliced == pytest.approx(whole, rel=0.05)


def test_too_few_samples_for_the_shards() -> None:
    with pytest.raises(BadInputError, match="too few for 8 × 8 slices"):
        Sisa(shards=8, slices=8).fit(tiny_task(), blobs(), RECIPE)


def test_an_emptied_shard_is_refused() -> None:
    sisa = Sisa(shards=3, slices=1)
    trained = sisa.fit(tiny_task(), blobs(), RECIPE, seed=1)
    with pytest.raises(BadInputError, match=r"shards \[2\] would be left without samples"):
        sisa.unlearn(trained, blobs(), trained.shards[2][0])


def test_shards_trained_by_workers_have_the_same_bits() -> None:
    made = digit_setup()
    samples, recipe = made.samples.only(made.samples.ids[:200]), Recipe(epochs=1)
    with one_thread():
        alone = Sisa().fit(made.task, samples, recipe)
        forgot = Sisa().unlearn(alone, samples, samples.ids[:2])
    with Local(2, threads=1) as executor:
        sisa = Sisa(executor=executor)
        together = sisa.fit(made.task, samples, recipe)
        forgot_together = sisa.unlearn(together, samples, samples.ids[:2])
    assert same(alone, together)
    assert same(forgot, forgot_together)
    assert forgot.checkpoints.keys() == forgot_together.checkpoints.keys()
    assert together.history[-1].by == "Sisa(shards=3, slices=2)"
