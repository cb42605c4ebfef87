"""SISA is exact, to the bit, and costs what it is said to cost."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import Ridge, blobs, digit_setup, one_thread, ridge_trained, tiny_task

from unscathed import BadInputError, ParameterView, Recipe, Sisa, Trained, by_requester, request_cost
from unscathed.adversaries import ParameterAware
from unscathed.executors import Local
from unscathed.unlearners.layouts import first_touched, flat, without

RECIPE = Recipe(epochs=4, batch_size=8)


def check_same(one: Trained, other: Trained) -> None:
    """All that is trained is the same to the bit: shards and checkpoints."""
    assert one.shards == other.shards
    assert one.ids == other.ids
    assert one.checkpoints.keys() == other.checkpoints.keys()
    states = [(one.weights, other.weights), *((one.checkpoints[n], other.checkpoints[n]) for n in one.checkpoints)]
    for ours, theirs in states:
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@settings(max_examples=25, deadline=None)
@given(
    shards=st.integers(1, 3),
    slices=st.integers(1, 3),
    requests=st.lists(st.sets(st.integers(0, 59), min_size=1, max_size=8), min_size=1, max_size=3),
    recipe=st.sampled_from([RECIPE, RECIPE.lasting(steps=9)]),
    aggregation=st.sampled_from(["mean", "vote"]),
    together=st.integers(1, 9),
)
def test_sisa_equals_training_without_the_forgotten(
    shards: int, slices: int, requests: list[set[int]], recipe: Recipe, aggregation: str, together: int
) -> None:
    """Whatever the layout (at random, or requesters of some size each), after one or several batches of requests."""
    samples = blobs()
    sisa = Sisa(shards=shards, slices=slices, aggregation=aggregation)  # type: ignore[arg-type]
    requesters = {i: p // together for p, i in enumerate(samples.ids)}
    layout = None
    if together > 1:
        layout = by_requester(samples, requesters, shards=shards, slices=slices, likelihood={0: 1.0})
    trained = sisa.fit(tiny_task(), samples, recipe, seed=1, layout=layout)
    unlearned, gone = trained, set[str]()
    for places in requests:
        forget = [samples.ids[p] for p in sorted(places) if samples.ids[p] not in gone]
        if not forget or any(not any(part) for part in without(unlearned.shards, set(forget))):
            continue
        touched = first_touched(unlearned.shards, set(forget))
        cost = request_cost(unlearned.shards, forget, epochs=trained.recipe.epochs or 0)
        unlearned = sisa.unlearn(unlearned, samples, forget)
        gone |= set(forget)
        details = unlearned.history[-1].details
        assert details["shards_trained"] == len(touched)
        # In batches of 8, an epoch leaves out a remainder of up to 7, and each stage has at least one step.
        assert details["sample_epochs"] <= cost + 8 * shards * slices
    if not gone:
        return
    scratch = sisa.fit(tiny_task(), samples.without(gone), trained.recipe, seed=1, layout=without(trained.shards, gone))
    check_same(unlearned, scratch)
    assert torch.equal(unlearned.outputs(samples), scratch.outputs(samples))


def test_only_what_saw_the_forgotten_is_trained_again() -> None:
    sisa = Sisa(shards=3, slices=2)
    trained = sisa.fit(tiny_task(), blobs(), RECIPE, seed=1)
    late = trained.shards[1][1][0]
    unlearned = sisa.unlearn(trained, blobs(), [late])
    # Its 20 samples but one, for 4 · 2/3 epochs of 2 batches of 8: 5 steps.
    assert unlearned.history[-1].details == {"shards_trained": 1, "sample_epochs": 40}
    assert unlearned.history[-1].steps == 5
    for name, weight in unlearned.weights.items():
        if not name.startswith("members.1."):
            assert torch.equal(weight, trained.weights[name])
    assert unlearned.checkpoints["shard-1/slice-0"] is trained.checkpoints["shard-1/slice-0"]
    early = trained.shards[1][0][0]
    assert sisa.unlearn(trained, blobs(), [early]).history[-1].steps > unlearned.history[-1].steps


def test_a_batch_of_requests_that_hit_one_shard_retrains_it_once() -> None:
    sisa = Sisa(shards=3, slices=2)
    trained = sisa.fit(tiny_task(), blobs(), RECIPE, seed=1)
    early, late = trained.shards[1][0][0], trained.shards[1][1][0]
    alone = sisa.unlearn(trained, blobs(), [early]).history[-1]
    both = sisa.unlearn(trained, blobs(), [late, early])
    assert both.history[-1].details["shards_trained"] == 1
    assert both.history[-1].steps <= alone.steps
    apart = sisa.unlearn(sisa.unlearn(trained, blobs(), [late]), blobs(), [early])
    check_same(both, apart)
    assert sum(e.steps for e in apart.history[1:]) > both.history[-1].steps


def test_slicing_does_not_change_the_samples_seen() -> None:
    """The cost of training in slices is that of training without: (2 / (R + 1)) Σ r/R = 1."""
    big = blobs(960)
    recipe = Recipe(epochs=6, batch_size=8)
    whole = Sisa(shards=1, slices=1).fit(tiny_task(), big, recipe, seed=0).history[0].steps
    sliced = Sisa(shards=2, slices=4).fit(tiny_task(), big, recipe, seed=0).history[0].steps
    assert sliced == pytest.approx(whole, rel=0.05)


def test_a_shard_smaller_than_a_batch_counts_its_own_samples() -> None:
    trained = Sisa(shards=3, slices=1).fit(tiny_task(), blobs(), Recipe(epochs=4, batch_size=64))
    assert trained.history[0].steps == 3 * 4
    assert trained.history[0].details == {"shards_trained": 3, "sample_epochs": 4 * 60}


def test_too_few_samples_for_the_shards() -> None:
    with pytest.raises(BadInputError, match="too few for 8 × 8 slices"):
        Sisa(shards=8, slices=8).fit(tiny_task(), blobs(), RECIPE)


def test_an_emptied_shard_is_refused() -> None:
    sisa = Sisa(shards=3, slices=1)
    trained = sisa.fit(tiny_task(), blobs(), RECIPE, seed=1)
    with pytest.raises(BadInputError, match=r"shards \[2\] would be left without samples"):
        sisa.unlearn(trained, blobs(), trained.shards[2][0])


def test_what_training_the_shard_again_needs_is_asked_for_at_once() -> None:
    sisa = Sisa(shards=2, slices=2)
    trained = sisa.fit(tiny_task(), blobs(), RECIPE, seed=1)
    forget = [*flat(trained.shards[:1]), trained.shards[1][1][0]]
    missing = trained.shards[1][0][0]
    with pytest.raises(BadInputError) as caught:
        sisa.unlearn(replace(trained, checkpoints={}), blobs().without([missing]), forget)
    text = str(caught.value)
    assert "shards [0] would be left without samples" in text
    assert f"1 retained samples of the shards touched are not at hand ('{missing}')" in text
    assert "the model lacks the checkpoints 'shard-1/slice-0'" in text
    # What only other shards need may be gone.
    sisa.unlearn(trained, blobs().only(flat(trained.shards[1:])), [trained.shards[1][0][0]])


def test_a_vote_needs_classes() -> None:
    _, samples = ridge_trained()
    with pytest.raises(BadInputError, match="Ridge predicts no classes to vote on; use aggregation='mean'"):
        Sisa(aggregation="vote").fit(Ridge(5), samples, RECIPE)
    with pytest.raises(BadInputError, match="aggregation='median' must be one of 'mean', 'vote'"):
        Sisa(aggregation="median")  # type: ignore[arg-type]
    unlearned = Sisa().unlearn(Sisa().fit(Ridge(5), samples, RECIPE), samples, samples.ids[:1])
    assert len(unlearned.ids) == 39


def test_voting_shards_answer_by_majority_and_can_be_attacked() -> None:
    samples, recipe = blobs(90, spread=1.2), replace(RECIPE, learning_rate=0.03)
    trained = Sisa(aggregation="vote").fit(tiny_task(), samples, recipe, seed=0)
    mean = Sisa().fit(tiny_task(), samples, recipe, seed=0)
    assert all(torch.equal(mean.weights[name], w) for name, w in trained.weights.items()), "only answers differ"
    assert trained.score(samples) > 0.6
    found = trained.evaluate(samples)
    assert all(torch.isfinite(values).all() for values in (found.losses, found.scores, found.margins))
    view = ParameterView(trained, samples, validation=blobs(30, seed=1, spread=1.2))
    function = view.function()
    direction = function.mean_gradient(view.validation)
    assert torch.isfinite(direction).all()
    assert direction.norm() > 0
    assert len(ParameterAware(0.1).choose(view)) == 9
    # Whoever unlearns, the model goes on voting.
    unlearned = Sisa().unlearn(trained, samples, samples.ids[:3])
    assert unlearned.task.signature()["aggregation"] == "vote"


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
    check_same(alone, together)
    check_same(forgot, forgot_together)
    assert together.history[-1].by == "Sisa(shards=3, slices=2, aggregation='mean')"
    assert eval(together.history[-1].by, {"Sisa": Sisa}) == sisa
