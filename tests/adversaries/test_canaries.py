import pytest
import torch
from tests.support import blobs

from unscathed import BadInputError, Samples
from unscathed.adversaries import plant_canaries


def test_canaries_have_wrong_labels_and_ids_of_their_own() -> None:
    samples = blobs(60, classes=4)
    planted, canaries = plant_canaries(samples, 9, seed=1)
    assert len(canaries) == len(set(canaries)) == 9
    assert not set(canaries) & set(samples.ids)
    named = set(canaries)
    for old, new, label, now in zip(
        samples.ids, planted.ids, samples.targets.tolist(), planted.targets.tolist(), strict=True
    ):
        assert (new == f"{old}~{now}" and now != label) if new in named else (new == old and now == label)
    assert torch.equal(planted.inputs, samples.inputs)
    assert set(planted.targets.tolist()) <= {0, 1, 2, 3}


def test_the_seed_decides() -> None:
    samples = blobs(60)
    again, other = plant_canaries(samples, 5, seed=3)[1], plant_canaries(samples, 5, seed=4)[1]
    assert plant_canaries(samples, 5, seed=3)[1] == again != other


def test_what_has_no_wrong_labels() -> None:
    with pytest.raises(BadInputError, match="count=60 must lie between 1 and 59"):
        plant_canaries(blobs(60), 60)
    with pytest.raises(BadInputError, match="no wrong labels"):
        plant_canaries(Samples(torch.randn(9, 2), torch.randn(9)), 2)
