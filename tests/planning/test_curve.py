import numpy as np
import pytest

from unscathed.planning.curve import crossing, fit_curve, mean_of


def test_a_decreasing_curve_is_the_means_with_students_intervals() -> None:
    curve = fit_curve([(0.1, 0.03), (0.1, 0.05), (0.2, 0.01), (0.2, 0.03)])
    assert curve.shares == (0.1, 0.2)
    assert curve.mean == pytest.approx((0.04, 0.02))
    # Both sizes have a variance of 0.0002, and so has the pool, with 2 degrees of freedom: t = 4.302653 and 2.919986.
    error = (0.0002 / 2) ** 0.5
    assert curve.high == pytest.approx((0.04 + 4.302653 * error, 0.02 + 4.302653 * error))
    assert curve.low == pytest.approx((0.04 - 4.302653 * error, 0.02 - 4.302653 * error))
    assert curve.limit == pytest.approx((0.04 + 2.919986 * error, 0.02 + 2.919986 * error))


def test_unequal_seeds_weigh_and_narrow_as_many_as_they_are() -> None:
    # The second size lies above the first: they are pooled, three values to one.
    curve = fit_curve([(0.2, 0.04), (0.1, 0.01), (0.1, 0.02), (0.1, 0.03)])
    assert curve.seeds == (3, 1)
    assert curve.mean == pytest.approx(((3 * 0.02 + 0.04) / 4,) * 2)
    deviation = np.std([0.01, 0.02, 0.03], ddof=1)
    half = 4.302653 * deviation
    assert curve.high == pytest.approx(((3 * (0.02 + half / 3**0.5) + 0.04 + half) / 4,) * 2)


def test_crossing_lies_on_the_line_between_two_sizes() -> None:
    shares, losses = (0.1, 0.2, 0.4), (0.05, 0.03, 0.01)
    assert crossing(shares, losses, 0.05) == 0.1
    assert crossing(shares, losses, 0.06) == 0.1
    assert crossing(shares, losses, 0.04) == pytest.approx(0.15)
    assert crossing(shares, losses, 0.015) == pytest.approx(0.35)
    assert crossing(shares, losses, 0.01) == 0.4
    assert crossing(shares, losses, 0.009) is None


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """With five seeds that share half of their spread between sizes, and a true crossing at a share of 0.133."""
    draws = np.random.default_rng(0)
    shares, truth, tolerance = (0.05, 0.1, 0.2, 0.4), np.array([0.04, 0.025, 0.01, 0.005]), 0.02
    right = crossing(shares, truth.tolist(), tolerance)
    assert right == pytest.approx(0.1 + 0.1 / 3)
    held = enough = 0
    for _ in range(200):
        shared, own = draws.normal(size=(5, 1)), draws.normal(size=(5, 4))
        losses = truth + 0.01 * 0.5**0.5 * (shared + own)
        curve = fit_curve((s, row[i]) for row in losses.tolist() for i, s in enumerate(shares))
        low, high, size = (crossing(shares, line, tolerance) for line in (curve.low, curve.high, curve.limit))
        held += low is not None and (low <= right or low == shares[0]) and (high is None or right <= high)
        enough += size is None or size >= right
    assert held >= 184
    assert enough >= 184
    assert held < 200, "intervals that always hold the truth are wider than they say"


def test_one_value_has_no_interval() -> None:
    assert mean_of([0.3]) == (0.3, -np.inf, np.inf, 1)
    assert mean_of([0.1, 0.3]).high == pytest.approx(0.2 + 12.7062 * 0.1, rel=1e-4)
