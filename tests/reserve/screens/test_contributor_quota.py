import pytest
import torch

from unscathed import BadInputError
from unscathed.reserve.screens import ContributorQuota

NAMES = ["mallory"] * 30 + [f"honest-{i % 35}" for i in range(70)]


def test_nobody_keeps_more_than_the_quota() -> None:
    screen = ContributorQuota(quota=0.07)
    scores = screen.scores(torch.zeros(100, 2), None, NAMES)
    assert int(scores.sum()) == 23, "7 of 30 may stay"
    assert not scores[30:].any(), "others hold 2 each"
    assert screen.flag(scores, lose=0.01).equal(scores == 1), "a rule, however little one is ready to lose"
    assert not torch.equal(scores, ContributorQuota(quota=0.07, seed=1).scores(torch.zeros(100, 2), None, NAMES))
    assert torch.equal(scores, screen.scores(torch.randn(100, 2), None, NAMES)), "vectors do not matter"


def test_everyone_may_hold_one() -> None:
    scores = ContributorQuota(quota=0.001).scores(torch.zeros(4, 2), None, ["a", "a", "b", "c"])
    assert int(scores[:2].sum()) == 1
    assert not scores[2:].any()


def test_contributors_must_be_known() -> None:
    with pytest.raises(BadInputError, match="who contributed"):
        ContributorQuota().scores(torch.zeros(3, 2))
    with pytest.raises(BadInputError, match="3 spares but 2 contributors"):
        ContributorQuota().scores(torch.zeros(3, 2), None, ["a", "b"])
    with pytest.raises(BadInputError, match="quota=0"):
        ContributorQuota(quota=0)
