import pytest
import torch
from tests.support import blobs, tiny_task

from unscathed import BadInputError, Recipe, Samples, ShortRetraining, Trained, fit

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


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_shares_that_cannot_be(share: float) -> None:
    with pytest.raises(BadInputError, match="0 < share < 1; for all of the steps, use Retrain"):
        ShortRetraining(share=share)
