import pytest
import torch

from unscathed import BadInputError
from unscathed.reserve.screens import Hubness
from unscathed.reserve.screens.base import by_class


def test_no_more_are_flagged_than_one_is_ready_to_lose_and_the_most_suspicious_first() -> None:
    scores = torch.rand(100, generator=torch.Generator().manual_seed(0))
    for lose, count in ((0.0, 0), (0.005, 0), (0.01, 1), (0.07, 7), (0.29, 29)):
        flagged = Hubness().flag(scores, lose=lose)
        assert int(flagged.sum()) == count
        assert count == 0 or scores[flagged].min() > scores[~flagged].max()


def test_what_is_as_good_as_half_of_all_is_never_flagged() -> None:
    assert not Hubness().flag(torch.zeros(50), lose=0.5).any()
    scores = torch.zeros(50)
    scores[7] = 0.1
    assert Hubness().flag(scores, lose=0.5).nonzero().flatten().tolist() == [7]


def test_a_threshold_flags_what_scores_higher() -> None:
    assert Hubness().flag(torch.tensor([0.1, 0.5, 0.7]), threshold=0.5).tolist() == [False, False, True]


def test_a_share_or_a_threshold_is_needed_and_not_both() -> None:
    for settings in ({}, {"lose": 0.1, "threshold": 0.1}):
        with pytest.raises(BadInputError, match="one of lose and threshold"):
            Hubness().flag(torch.zeros(3), **settings)
    with pytest.raises(BadInputError, match=r"lose=1\.1"):
        Hubness().flag(torch.zeros(3), lose=1.1)


def test_classes() -> None:
    assert [rows.tolist() for rows in by_class(torch.tensor([3, 0, 3]), 3)] == [[1], [0, 2]]
    assert [rows.tolist() for rows in by_class(None, 3)] == [[0, 1, 2]]
