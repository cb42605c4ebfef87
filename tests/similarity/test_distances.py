import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf
from tests.support import blobs, tiny_task, trained_by_hand

from unscathed import (
    BadInputError,
    ClassificationTask,
    Cosine,
    Encoded,
    Euclidean,
    Features,
    Mahalanobis,
    Raw,
    Recipe,
    Samples,
    Sisa,
)
from unscathed.similarity import Metric, Similarity


def straight(metric: Metric, one: torch.Tensor, other: torch.Tensor, label: int | None = None) -> np.ndarray:
    """All distances, by places and nothing else."""
    ours, theirs = (metric.place(vectors, label).double() for vectors in (one, other))
    return metric.distance(torch.cdist(ours, theirs).square()).numpy()


@pytest.mark.parametrize(("similarity", "named"), [(Cosine(Raw()), "cosine"), (Euclidean(Raw()), "euclidean")])
def test_distances_equal_scipys(similarity: Similarity, named: str) -> None:
    one, other = blobs(20, seed=1).inputs, blobs(30, seed=2).inputs
    found = straight(similarity.fit(other, None), one, other)
    np.testing.assert_allclose(found, cdist(one.double().numpy(), other.double().numpy(), named), atol=1e-6)


@pytest.mark.parametrize("labelled", [False, True])
def test_mahalanobis_equals_scipys_with_the_pooled_covariance(labelled: bool) -> None:
    vectors, labels = correlated(200)
    metric = Mahalanobis().fit(vectors, labels if labelled else None)
    rows = vectors.double().numpy()
    means = np.stack([rows[labels == c].mean(axis=0) for c in labels]) if labelled else rows.mean(axis=0)
    inverse = np.linalg.inv(ledoit_wolf(rows - means, assume_centered=True)[0])
    expected = cdist(rows[:20], rows[20:], "mahalanobis", VI=inverse)
    np.testing.assert_allclose(straight(metric, vectors[:20], vectors[20:]), expected, rtol=1e-5)


def test_mahalanobis_of_a_class_equals_scipys_with_its_own_covariance() -> None:
    vectors, labels = correlated(200)
    metric = Mahalanobis(covariance="class", fewest=80).fit(vectors, labels)
    assert [int((labels == c).sum()) for c in range(3)] == [100, 95, 5]
    for label in range(2):
        rows = vectors[labels == label].double().numpy()
        inverse = np.linalg.inv(ledoit_wolf(rows - rows.mean(axis=0), assume_centered=True)[0])
        expected = cdist(rows[:9], rows[9:], "mahalanobis", VI=inverse)
        own = vectors[labels == label]
        np.testing.assert_allclose(straight(metric, own[:9], own[9:], label), expected, rtol=1e-5)
    pooled = Mahalanobis().fit(vectors, labels)
    assert torch.equal(metric.place(vectors, 2), pooled.place(vectors, 2)), "five vectors say too little"


def test_mahalanobis_where_there_are_fewer_vectors_than_dimensions_and_some_never_vary() -> None:
    vectors = torch.randn(10, 40, generator=torch.Generator().manual_seed(0)) * (torch.arange(40) % 2)
    found = straight(Mahalanobis().fit(vectors, None), vectors, vectors)
    assert np.isfinite(found).all()
    assert (found[~np.eye(10, dtype=bool)] > 0).all()


def test_mahalanobis_of_vectors_that_do_not_vary_is_refused() -> None:
    with pytest.raises(BadInputError, match="do not vary at all"):
        Mahalanobis().fit(torch.ones(5, 3), None)
    with pytest.raises(BadInputError, match="2 problems"):
        Mahalanobis(covariance="own", fewest=1)  # type: ignore[arg-type]


def correlated(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors in three classes (half, a little less, five), each with its own mean and spread."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.cat([torch.zeros(count // 2), torch.ones(count // 2 - 5), torch.full((5,), 2.0)]).long()
    mixing = torch.randn(3, 4, 4, generator=generator)
    vectors = torch.einsum("nd,nde->ne", torch.randn(count, 4, generator=generator), mixing[labels])
    return vectors + 5 * labels[:, None], labels


def test_spaces() -> None:
    samples = blobs(5)
    trained = trained_by_hand(tiny_task(), samples)
    assert torch.equal(Raw().vectors(samples, trained), samples.inputs)
    assert torch.equal(Features().vectors(samples, trained), trained.features(samples))
    hidden = trained.model()[0](samples.inputs)  # type: ignore[index]
    torch.testing.assert_close(Features("0").vectors(samples, trained), hidden)


def test_features_of_an_ensemble_are_its_members_side_by_side() -> None:
    samples = blobs(40)
    ensemble = Sisa(shards=2).fit(tiny_task(), samples, Recipe(epochs=1, batch_size=16), seed=0)
    width = Features("0").vectors(samples, trained_by_hand(tiny_task(), samples)).shape[1]
    assert Features("0").vectors(samples, ensemble).shape == (40, 2 * width)


def test_an_encoder_from_outside() -> None:
    samples = blobs(5)
    trained = trained_by_hand(tiny_task(), samples)
    encoder = torch.nn.Linear(3, 7)
    vectors = Encoded(encoder, batch_size=2).vectors(samples, trained)
    torch.testing.assert_close(vectors, encoder(samples.inputs).detach())
    assert not vectors.requires_grad
    for wrong, words in ((lambda x: x[0], "one vector each"), (lambda x: x / 0, "not finite")):
        with pytest.raises(BadInputError, match=words):
            Encoded(wrong).vectors(samples, trained)


def test_raw_inputs_are_prepared() -> None:
    task = ClassificationTask(lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), 2)
    samples = Samples(torch.full((3, 1, 2, 2), 255, dtype=torch.uint8), [0, 1, 0])
    assert torch.equal(Raw().vectors(samples, trained_by_hand(task, samples)), torch.ones(3, 4))
