"""Retrain is gold, to the bit, whatever the recipe draws at random and however it computes."""

import pytest
import torch
from tests.support import blobs, tiny_task
from torch import nn

from unscathed import ClassificationTask, Flip, Recipe, Retrain, Samples, Shift, Trained, fit


def images(count: int = 48) -> Samples:
    """Noise around a level for each of three classes, uint8 [3, 8, 8]."""
    generator = torch.Generator().manual_seed(5)
    targets = torch.arange(count) % 3
    noise = torch.randint(0, 120, (count, 3, 8, 8), generator=generator)
    return Samples((noise + 60 * targets[:, None, None, None]).to(torch.uint8), targets)


def dropping_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(512, 3)
    )


AUGMENT = (Flip(), Shift(1))
CASES = {
    "plain": (tiny_task(), blobs(), Recipe(epochs=4, batch_size=8, learning_rate=0.03)),
    "bfloat16": (
        ClassificationTask(dropping_net, 3),
        images(),
        Recipe(epochs=2, batch_size=8, precision="bfloat16", device="cpu"),
    ),
    "dropout and augmentation": (
        ClassificationTask(dropping_net, 3),
        images(),
        Recipe(epochs=2, batch_size=8, augment=AUGMENT, precision="float32"),
    ),
    "all of it, by muon": (
        ClassificationTask(dropping_net, 3),
        images(),
        Recipe(epochs=2, batch_size=8, augment=AUGMENT, precision="bfloat16", optimizer="muon", device="cpu"),
    ),
}
Case = tuple[ClassificationTask, Samples, Recipe, Trained]


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    task, samples, recipe = CASES[request.param]
    return task, samples, recipe, fit(task, samples, recipe, seed=3)


def same(one: Trained, other: Trained) -> bool:
    return one.weights.keys() == other.weights.keys() and all(
        torch.equal(one.weights[name], other.weights[name]) for name in one.weights
    )


def test_retraining_is_gold(case: Case) -> None:
    task, samples, recipe, trained = case
    forget = samples.ids[5:15]
    gold = fit(task, samples.without(forget), recipe, seed=3)
    torch.seed()
    unlearned = Retrain().unlearn(trained, samples, forget)
    assert same(unlearned, gold)
    assert unlearned.ids == gold.ids
    assert unlearned.history[-1].steps == gold.history[0].steps
    assert not same(unlearned, trained)


def test_a_request_with_a_seed_of_its_own_is_gold_of_that_seed(case: Case) -> None:
    task, samples, recipe, trained = case
    forget, later = samples.ids[5:15], samples.ids[20:22]
    other = Retrain().unlearn(trained, samples, forget, seed=8)
    assert same(other, fit(task, samples.without(forget), recipe, seed=8))
    assert not same(other, Retrain().unlearn(trained, samples, forget))
    # It is the request's seed, not the model's: the next request has the model's again.
    after = Retrain().unlearn(other, samples.without(forget), later)
    assert same(after, fit(task, samples.without([*forget, *later]), recipe, seed=3))


def test_requests_one_after_the_other_are_the_union_at_once(case: Case) -> None:
    _, samples, _, trained = case
    first, second, third = samples.ids[30:36], samples.ids[2:3], samples.ids[10:20]
    one = trained
    for forget in (first, second, third):
        # All samples, those forgotten before among them: they must not come back.
        one = Retrain().unlearn(one, samples, forget)
    union = Retrain().unlearn(trained, samples, [*third, *first, *second])
    assert same(one, union)
    assert one.ids == union.ids
    assert [e.samples for e in one.history] == [len(samples), 6, 1, 10]
