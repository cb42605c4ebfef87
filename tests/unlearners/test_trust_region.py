"""The trust region: the longest affordable step, in few measurements."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unscathed.unlearners.trust_region import affordable_share, furthest

BUDGET = 0.05


class Counted:
    """A cost that counts how often it is asked."""

    def __init__(self, cost: Callable[[float], float]) -> None:
        self.cost, self.asked = cost, 0

    def __call__(self, step: float) -> float:
        self.asked += 1
        return self.cost(step)


@given(
    st.floats(-6, 6).map(lambda e: 10**e),
    st.sampled_from([1.0, 2.0, 3.0, 4.0]),
    st.sampled_from([math.inf, 2.3, 20.0]),
    st.booleans(),
)
def test_the_share_is_the_longest_that_the_budget_affords(
    scale: float, power: float, most: float, breaks: bool
) -> None:
    """Whatever the power, and where the cost levels off or is infinite further out."""

    def cost(share: float) -> float:
        found = scale * share**power
        return math.inf if breaks and found > 5 else min(most, found)

    counted = Counted(cost)
    found = affordable_share(counted, BUDGET)
    best = min(1.0, (BUDGET / scale) ** (1 / power))
    assert cost(found.share) == found.kl <= BUDGET
    assert found.share >= best / max(1.021, 0.959 ** (-1 / power))
    assert found.kl_of_whole == cost(1.0)
    assert counted.asked <= 15


def test_a_square_takes_two_measurements() -> None:
    """The law that divergence follows near a model is assumed at first."""
    counted = Counted(lambda share: 3 * share**2)
    assert affordable_share(counted, BUDGET).share == pytest.approx((BUDGET / 3) ** 0.5, rel=0.02)
    assert counted.asked <= 3


@pytest.mark.parametrize("threshold", [1e-5, 1e-12])
def test_a_cost_that_leaps_is_halved_down_to(threshold: float) -> None:
    """Nothing is assumed of what is returned: it was measured."""
    share = affordable_share(lambda s: 0.0 if s < threshold else 3.0, BUDGET).share
    assert threshold / 1.03 <= share < threshold


def test_where_no_step_is_affordable_none_is_taken() -> None:
    """Down to 10⁻¹⁸ of it."""
    assert affordable_share(lambda _: math.inf, BUDGET)[:2] == (0.0, 0.0)
    assert affordable_share(lambda s: s, 0.0)[:2] == (0.0, 0.0)
    assert affordable_share(lambda _: 0.0, BUDGET)[:2] == (1.0, 0.0)


def test_a_first_step_that_is_too_short_is_lengthened_up_to_the_longest() -> None:
    """From either side of the answer."""
    for first in (1e-6, 0.1, 2.0, 100.0):
        step, spent = furthest(lambda s: s**2, BUDGET, first=first, longest=100.0)
        assert step == pytest.approx(BUDGET**0.5, rel=0.02)
        assert spent <= BUDGET
        assert furthest(lambda s: s**2 / 1e6, BUDGET, first=first, longest=100.0)[0] == pytest.approx(100.0)
