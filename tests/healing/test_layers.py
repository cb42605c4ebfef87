import pytest
import torch
from tests.support import blobs
from torch import nn

from unscathed import BadInputError, ClassificationTask, Healer, Recipe, fit
from unscathed.healing import AllLayers, HeadFirst, HealedLayers, LowRank
from unscathed.healing.layers import body

SAMPLES = blobs(60)


def convolving() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 1, 3)),
        nn.Conv2d(1, 6, (1, 2), bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12, 3),
    )


@pytest.fixture(scope="module", params=["adamw", "muon", "sgd"])
def trained(request: pytest.FixtureRequest):
    task = ClassificationTask(convolving, 3)
    return fit(task, SAMPLES, Recipe(epochs=10, batch_size=8, optimizer=request.param, learning_rate=0.01), seed=0)


def healed(trained, layers: HealedLayers, steps: int = 10):
    return Healer(strategy="retain", steps=steps, layers=layers).heal(trained, retain=SAMPLES)


def moved(trained, other) -> set[str]:
    names = {n for n, w in trained.weights.items() if not torch.equal(w, other.weights[n])}
    return {n for n in names if "running" not in n and "num_batches" not in n}


def test_the_body_is_what_is_neither_norm_nor_head() -> None:
    model = convolving()
    assert {id(p) for p in body(model)} == {id(model[1].weight)}  # type: ignore[index]


def test_the_head_moves_first_and_the_rest_when_its_time_has_come(trained) -> None:
    head = {"2.weight", "2.bias", "5.weight", "5.bias"}
    assert moved(trained, healed(trained, HeadFirst(share=1.0))) == head
    assert moved(trained, healed(trained, HeadFirst(share=0.5))) == head | {"1.weight"}
    assert moved(trained, healed(trained, AllLayers())) == head | {"1.weight"}


def test_weights_move_by_a_correction_of_low_rank(trained) -> None:
    after = healed(trained, LowRank(rank=1), steps=30)
    assert after.weights.keys() == trained.weights.keys(), "corrections are part of the weights again"
    for name in ("1.weight", "5.weight"):
        change = (after.weights[name] - trained.weights[name]).reshape(len(after.weights[name]), -1)
        assert torch.linalg.matrix_rank(change, rtol=1e-3) == 1
    free = healed(trained, AllLayers(), steps=30)
    change = free.weights["5.weight"] - trained.weights["5.weight"]
    assert torch.linalg.matrix_rank(change, rtol=1e-3) > 1, "or else this test could not fail"
    assert after.score(SAMPLES) > 0.8


@pytest.mark.parametrize("wrong", [lambda: HeadFirst(share=0), lambda: LowRank(rank=0)])
def test_layers_that_cannot_be(wrong) -> None:
    with pytest.raises(BadInputError):
        wrong()
