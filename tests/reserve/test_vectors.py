from dataclasses import replace

import pytest
import torch
from tests.support import blobs, tiny_task

from unscathed import Cosine, Encoded, Recipe, SpareSet, Trained, fit
from unscathed.similarity import Similarity
from unscathed.training import Event

SAMPLES = blobs(90, seed=1)
SPARES = blobs(60, seed=2)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return fit(tiny_task(), SAMPLES, Recipe(epochs=10, batch_size=16), seed=0)


def changed(trained: Trained, scale: float) -> Trained:
    noise = torch.Generator().manual_seed(0)
    weights = {n: w + scale * torch.randn(w.shape, generator=noise) for n, w in trained.weights.items()}
    event = Event(kind="unlearned", by="test", samples=1, steps=1, seconds=0.0)
    return replace(trained, weights=weights, history=(*trained.history, event))


def made(reserve: SpareSet, trained: Trained) -> int:
    before = reserve.vectors.made
    reserve.match(SAMPLES.at(torch.arange(3)), trained)
    return reserve.vectors.made - before


def test_vectors_are_made_once_for_a_model_and_added_for_what_is_new(trained: Trained) -> None:
    reserve = SpareSet(SPARES)
    assert made(reserve, trained) == 60
    assert made(reserve, replace(trained, seed=5)) == 0, "the weights are the same"
    reserve.top_up(blobs(9, seed=3))
    assert made(reserve, trained) == 9
    whole = SpareSet(SPARES + blobs(9, seed=3), radius=0.0)
    reserve.radius = 0.0
    assert reserve.match(SAMPLES.at(torch.arange(30)), trained).spare_of == (
        whole.match(SAMPLES.at(torch.arange(30)), trained).spare_of
    )


def test_another_model_makes_those_that_are_left_again(trained: Trained) -> None:
    reserve = SpareSet(SPARES)
    made(reserve, trained)
    reserve.spend(SPARES.ids[:20])
    other = changed(trained, 0.01)
    assert made(reserve, other) == 40
    assert reserve.vectors.source is other
    # The same twins as of a reserve that only ever had those.
    alone = SpareSet(SPARES.without(SPARES.ids[:20]))
    forget = SAMPLES.at(torch.arange(9))
    assert reserve.match(forget, other).spare_of == alone.match(forget, other).spare_of


def test_an_encoder_from_outside_does_not_mind_the_model(trained: Trained) -> None:
    similarity: Similarity = Cosine(Encoded(torch.nn.Linear(3, 4)))
    reserve = SpareSet(SPARES, similarity)
    assert made(reserve, trained) == 60
    assert made(reserve, changed(trained, 1.0)) == 0


def test_features_of_a_damaged_model_are_not_used(trained: Trained) -> None:
    collapsed = changed(trained, 3.0)
    assert collapsed.score(SPARES) < trained.score(SPARES) - 0.2
    reserve = SpareSet(SPARES)
    before = reserve.match(SAMPLES.at(torch.arange(9)), trained)
    with pytest.warns(UserWarning, match="features of the model before: the one given is damaged"):
        after = reserve.match(SAMPLES.at(torch.arange(9)), collapsed)
    assert after.spare_of == before.spare_of
    assert reserve.vectors.source is trained
    # Control: by the damaged model's own features, twins are others.
    assert SpareSet(SPARES).match(SAMPLES.at(torch.arange(9)), collapsed).spare_of != before.spare_of
