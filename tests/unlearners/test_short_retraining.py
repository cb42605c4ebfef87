from dataclasses import replace

import pytest
import torch
from tests.support import blobs, tiny_task
from torch import nn

from unscathed import BadInputError, ClassificationTask, Recipe, Samples, ShortRetraining, Trained, fit
from unscathed.training import tune

RECIPE = Recipe(epochs=8, batch_size=8, learning_rate=0.03)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return fit(tiny_task(), blobs(), RECIPE, seed=3)


def same(one: Trained, other: Trained) -> bool:
    return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.9])
def test_it_is_a_training_on_what_is_retained_for_a_share_of_the_steps(trained: Trained, share: float) -> None:
    samples, forget = blobs(), blobs().ids[5:15]
    retain = samples.without(forget)
    steps = max(1, round(share * RECIPE.total_steps(len(retain))))
    torch.seed()
    short = ShortRetraining(share=share).unlearn(trained, samples, forget)
    assert same(short, fit(tiny_task(), retain, RECIPE.lasting(steps=steps), seed=3))
    assert short.ids == retain.ids
    assert short.recipe == RECIPE
    assert [e.kind for e in short.history] == ["fitted", "unlearned"]
    assert (short.history[-1].steps, short.history[-1].samples) == (steps, 10)


def test_nothing_of_the_forgotten_is_in_it(trained: Trained) -> None:
    samples, forget = blobs(), blobs().ids[5:15]
    inputs = samples.inputs.clone()
    inputs[5:15] = 100.0
    other = Samples(inputs, samples.targets, samples.ids)
    method = ShortRetraining()
    from_other = method.unlearn(fit(tiny_task(), other, RECIPE, seed=3), other, forget)
    assert same(method.unlearn(trained, samples, forget), from_other)


def test_the_next_request_costs_as_much_again(trained: Trained) -> None:
    samples = blobs()
    first, second = samples.ids[:8], samples.ids[8:16]
    method = ShortRetraining(share=0.5)
    once = method.unlearn(trained, samples, first)
    twice = method.unlearn(once, samples, second)
    assert same(twice, method.unlearn(trained, samples, [*first, *second]))
    assert twice.history[-1].steps == round(0.5 * RECIPE.total_steps(len(samples) - 16))


SPARES = blobs(24, seed=9)


@pytest.fixture(scope="module")
def start() -> Trained:
    return fit(tiny_task(), SPARES, RECIPE, seed=5)


def test_from_a_warm_start_it_is_tuning_on_what_is_retained(trained: Trained, start: Trained) -> None:
    samples, forget = blobs(), blobs().ids[5:15]
    retain = samples.without(forget)
    method = ShortRetraining(share=0.25, start=start)
    short = method.unlearn(trained, samples, forget)
    steps = round(0.25 * RECIPE.total_steps(len(retain)))
    half = replace(RECIPE.lasting(steps=steps), learning_rate=0.015)
    assert same(short, tune(start, retain, half, seed=3, kind="fitted", by="hand"))
    assert set(short.ids) == {*retain.ids, *SPARES.ids}
    assert method.brings == SPARES.ids
    assert (short.recipe, short.seed) == (RECIPE, 3)
    assert [(e.kind, e.steps) for e in short.history[1:]] == [("unlearned", steps)]
    # The next request starts from there again, and the start's samples stay.
    again = method.unlearn(short, samples, samples.ids[20:22])
    assert same(again, method.unlearn(trained, samples, [*forget, *samples.ids[20:22]]))
    assert set(again.ids) == {*retain.ids, *SPARES.ids} - set(samples.ids[20:22])
    other = ShortRetraining(share=0.25, start=start, learning_rate=0.1).unlearn(trained, samples, forget)
    assert not same(short, other)


def test_nothing_of_the_forgotten_is_in_it_with_a_warm_start_either(trained: Trained, start: Trained) -> None:
    samples, forget = blobs(), blobs().ids[5:15]
    inputs = samples.inputs.clone()
    inputs[5:15] = 100.0
    other = Samples(inputs, samples.targets, samples.ids)
    method = ShortRetraining(start=start)
    from_other = method.unlearn(fit(tiny_task(), other, RECIPE, seed=3), other, forget)
    assert same(method.unlearn(trained, samples, forget), from_other)


def test_a_warm_start_that_knows_the_forgotten_is_refused(trained: Trained, start: Trained) -> None:
    """Also one that knows what was forgotten earlier, whom it would bring back."""
    both = blobs() + SPARES
    whole = fit(tiny_task(), both, RECIPE, seed=3)
    method = ShortRetraining(start=start)
    with pytest.raises(BadInputError, match=r"start was trained on 2 samples that are forgotten now or were before"):
        method.unlearn(whole, both, [*SPARES.ids[:2], both.ids[0]])
    later = ShortRetraining().unlearn(whole, both, SPARES.ids[:2])
    with pytest.raises(BadInputError, match=r"start was trained on 2 .*; train it anew without them"):
        method.unlearn(later, both, [both.ids[0]])
    renewed = fit(tiny_task(), SPARES.without(SPARES.ids[:2]), RECIPE, seed=5)
    assert not set(SPARES.ids[:2]) & set(ShortRetraining(start=renewed).unlearn(later, both, [both.ids[0]]).ids)


def test_a_warm_start_of_another_network_is_refused(trained: Trained) -> None:
    larger = ClassificationTask(lambda: nn.Linear(3, 3), 3)
    other = fit(larger, Samples(SPARES.inputs, SPARES.targets, SPARES.ids), RECIPE, seed=0)
    with pytest.raises(BadInputError, match="start is of another network than the model"):
        ShortRetraining(start=other).unlearn(trained, blobs(), blobs().ids[:3])


def test_rates_and_starts_that_cannot_be() -> None:
    with pytest.raises(BadInputError, match=r"start='folder' is no trained model; give one that `fit` made"):
        ShortRetraining(start="folder")  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="learning_rate=-1 must be a positive share"):
        ShortRetraining(learning_rate=-1)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_shares_that_cannot_be(share: float) -> None:
    with pytest.raises(BadInputError, match="0 < share < 1; for all of the steps, use Retrain"):
        ShortRetraining(share=share)
