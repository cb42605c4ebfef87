import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_curve

from unscathed import BadInputError
from unscathed.audit import compare_true_positives, true_positives


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.33])
def test_the_share_is_that_of_the_roc_curve(seed: int, rate: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Some ties, too.
    members = (torch.randn(80, generator=generator) * 4 + 2).round()
    others = (torch.randn(130, generator=generator) * 4).round()
    false, true, _ = roc_curve([1] * 80 + [0] * 130, torch.cat([members, others]), drop_intermediate=False)
    assert true_positives(members, others, rate).value == pytest.approx(max(true[false <= rate + 1e-12]))


@pytest.mark.parametrize(("rate", "gap"), [(0.01, 1.0), (0.05, 0.0), (0.1, 2.0)])
def test_intervals_hold_at_the_true_rate(rate: float, gap: float) -> None:
    """Normal scores: the share of members above the true threshold is known."""
    generator = torch.Generator().manual_seed(1)
    truth = float(1 - stats.norm.cdf(stats.norm.ppf(1 - rate) - gap))
    chance = held = compared = 0
    draws = 400
    for _ in range(draws):
        members, others = torch.randn(60, generator=generator) + gap, torch.randn(300, generator=generator)
        found = true_positives(members, others, rate)
        assert 0 <= found.low <= found.value <= found.high <= 1
        held += found.low <= truth <= found.high
        difference = compare_true_positives(found)
        chance += difference.low <= truth - rate <= difference.high
        other = true_positives(torch.randn(60, generator=generator), torch.randn(300, generator=generator), rate)
        difference = compare_true_positives(found, other)
        compared += difference.low <= truth - rate <= difference.high
    assert min(held, chance, compared) / draws >= 0.95


def test_a_rate_that_few_samples_speak_of_is_not_resolved() -> None:
    generator = torch.Generator().manual_seed(0)
    members = torch.randn(50, generator=generator) + 3
    few, enough = torch.randn(999, generator=generator), torch.randn(1000, generator=generator)
    assert not true_positives(members, few, 0.001).resolved
    assert true_positives(members, enough, 0.001).resolved
    assert true_positives(members, few[:100], 0.01).resolved
    found = compare_true_positives(true_positives(members, few, 0.001))
    assert (found.low, found.high) == (-1, 1)
    assert true_positives(members, enough, 0.001).low == 0
    many = torch.randn(5000, generator=generator)
    assert true_positives(members, many, 0.001).low > 0.05


def test_rates_and_scores_that_are_none() -> None:
    with pytest.raises(BadInputError, match="rate=0"):
        true_positives(torch.zeros(3), torch.zeros(3), 0)
    with pytest.raises(BadInputError, match="scores of members"):
        true_positives(torch.zeros(0), torch.zeros(3), 0.1)
