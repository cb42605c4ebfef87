import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from tests.support import blobs, tiny_task, trained_by_hand

from unscathed import ClassificationTask, Cosine, Euclidean, Features, Raw, Samples


@pytest.mark.parametrize(("similarity", "metric"), [(Cosine(Raw()), "cosine"), (Euclidean(Raw()), "euclidean")])
def test_distances_equal_scipys(similarity: Cosine | Euclidean, metric: str) -> None:
    one, other = blobs(20, seed=1), blobs(30, seed=2)
    trained = trained_by_hand(tiny_task(), one)
    found = similarity.distances(similarity.embed(one, trained), similarity.embed(other, trained))
    expected = cdist(one.inputs.double().numpy(), other.inputs.double().numpy(), metric)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_spaces() -> None:
    samples = blobs(5)
    trained = trained_by_hand(tiny_task(), samples)
    assert torch.equal(Raw().vectors(samples, trained), samples.inputs)
    assert torch.equal(Features().vectors(samples, trained), trained.features(samples))


def test_raw_inputs_are_prepared() -> None:
    task = ClassificationTask(lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), 2)
    samples = Samples(torch.full((3, 1, 2, 2), 255, dtype=torch.uint8), [0, 1, 0])
    assert torch.equal(Raw().vectors(samples, trained_by_hand(task, samples)), torch.ones(3, 4))
