import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from unscathed import BadInputError
from unscathed.audit import compare_membership, membership_auc


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.lists(st.integers(0, 6), min_size=1, max_size=30))
def test_the_area_is_scikit_learns_ties_included(forgotten: list[int], unseen: list[int]) -> None:
    expected = roc_auc_score([1] * len(forgotten) + [0] * len(unseen), forgotten + unseen)
    assert membership_auc(torch.tensor(forgotten).float(), torch.tensor(unseen).float()) == pytest.approx(expected)


def test_samples_are_compared_within_their_class() -> None:
    """A forget set of one hard class is not mistaken for non-members."""
    forgotten, labels = torch.tensor([1.0, 1.2, 1.4]), torch.zeros(3).long()
    unseen, unseen_labels = torch.tensor([0.9, 1.1, 1.3, 8.0, 9.0, 10.0]), torch.tensor([0, 0, 0, 1, 1, 1])
    assert membership_auc(forgotten, unseen) < 0.4
    assert membership_auc(forgotten, unseen, labels, unseen_labels) == pytest.approx(6 / 9)
    with pytest.raises(BadInputError, match="of a forgotten sample's class"):
        membership_auc(forgotten, unseen, labels, unseen_labels + 1)


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_intervals_cover_the_truth_as_often_as_they_say(gap: float) -> None:
    """Against the true area of two normals, alone and as a difference from a correlated reference."""
    generator = torch.Generator().manual_seed(1)
    truth = float(torch.distributions.Normal(0, 1).cdf(torch.tensor(gap / 2**0.5)))
    draws, alone, difference = 1000, 0, 0
    for _ in range(draws):
        forgotten = torch.randn(60, generator=generator) + gap
        unseen = torch.randn(90, generator=generator)
        found = compare_membership(forgotten, unseen)
        alone += found.low <= truth - 0.5 <= found.high
        noise = [0.5 * torch.randn(n, generator=generator) for n in (60, 90)]
        their_forgotten, their_unseen = (0.75**0.5 * forgotten + noise[0]), (0.75**0.5 * unseen + noise[1])
        their_truth = float(torch.distributions.Normal(0, 1).cdf(torch.tensor(0.75**0.5 * gap / 2**0.5)))
        found = compare_membership(forgotten, unseen, their_forgotten, their_unseen)
        difference += found.low <= truth - their_truth <= found.high
    assert 0.925 < alone / draws < 0.98
    assert 0.925 < difference / draws < 0.98


def test_one_forgotten_sample_is_little_evidence() -> None:
    found = compare_membership(torch.tensor([9.0]), torch.randn(100))
    assert found.low < -0.4
