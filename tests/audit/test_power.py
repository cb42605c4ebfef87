"""Power is what it says: at the difference that a check claims to see, four of five audits fail."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from unscathed.audit import Check, Difference, compare_membership
from unscathed.audit.intervals import paired, unpaired
from unscathed.audit.power import detectable

NORMAL = torch.distributions.Normal(0.0, 1.0)


def shares(count: int, accuracy: float, noise: float) -> Callable[[float, torch.Generator], Difference]:
    """Gold's right answers, and a model that agrees but for some noise and is right on more by a difference."""

    def draw(difference: float, generator: torch.Generator) -> Difference:
        def answers() -> Tensor:
            return (torch.rand(count, generator=generator) < accuracy).float()

        gold, redrawn = answers(), torch.rand(count, generator=generator) < noise
        model = torch.where(redrawn, answers(), gold)
        turned = (model == 0) & (torch.rand(count, generator=generator) < difference / (1 - accuracy))
        return paired(torch.where(turned, 1.0, model), gold)

    return draw


def areas(difference: float, generator: torch.Generator) -> Difference:
    """Margins of gold that tell nothing, and of a model whose area is larger by a difference."""
    gap = float(NORMAL.icdf(torch.tensor(0.5 + difference))) * (2 * 1.25) ** 0.5
    forgotten, unseen = (torch.randn(n, generator=generator) for n in (100, 150))
    ours = [part + 0.5 * torch.randn(len(part), generator=generator) for part in (forgotten + gap, unseen)]
    return compare_membership(*ours, forgotten, unseen)


def others(difference: float, generator: torch.Generator) -> Difference:
    """Right answers on forgotten and on unseen samples."""
    rates = (150, 0.7 + difference), (300, 0.7)
    return unpaired(*((torch.rand(n, generator=generator) < p).float() for n, p in rates))


@pytest.mark.parametrize(
    "draw",
    [shares(50, 0.5, 0.0), shares(200, 0.7, 0.0), shares(200, 0.7, 0.1), areas, others],
    ids=["few, agreeing", "agreeing", "with noise", "areas", "unpaired"],
)
def test_what_is_said_to_be_seen_fails_four_times_in_five(
    draw: Callable[[float, torch.Generator], Difference],
) -> None:
    generator = torch.Generator().manual_seed(0)
    draws, failed = 300, 0
    for _ in range(draws):
        claimed = Check("x", draw(0.0, generator), -0.05, 0.05).detectable
        assert claimed is not None
        failed += Check("x", draw(claimed, generator), -0.05, 0.05).outcome == "fail"
    # Pseudo-samples widen intervals, so that somewhat more is seen than is claimed.
    assert 0.74 < failed / draws < 0.93


def test_of_a_normal_interval_it_is_the_textbooks() -> None:
    found = Difference(0.6, 0.5, 0.1 - 1.959964 * 0.02, 0.1 + 1.959964 * 0.02)
    assert detectable(found, 0.05, 1) == pytest.approx(0.05 + (1.959964 + 0.841621) * 0.02, abs=1e-6)
    assert detectable(found, -0.02, -1) == pytest.approx(-0.02 - (1.959964 + 0.841621) * 0.02, abs=1e-6)


def test_agreement_with_gold_does_not_pass_for_power() -> None:
    """Two models that answer alike show no spread; a model that differed would."""
    alike = paired(torch.ones(200), torch.ones(200))
    seen = detectable(alike, 0.05, 1)
    assert seen is not None
    assert seen > 1.7 * (0.05 + 2.8 * alike.standard_error)
    assert alike.error_at(0.1) == pytest.approx((0.1 * 0.9 / 200 + alike.standard_error**2) ** 0.5)


def test_three_samples_see_nothing_and_equal_models_tell_nothing() -> None:
    assert detectable(paired(torch.ones(3), torch.ones(3)), 0.05, 1) == math.inf
    assert detectable(paired(torch.ones(3), torch.ones(3)), -0.05, -1) == -math.inf
    assert detectable(Difference(0.5, 0.5, 0.0, 0.0), 0.05, 1) is None
    assert detectable(Difference(0.5, 0.5, -math.inf, 0.1), 0.05, 1) is None
    few = Check("x", paired(torch.ones(3), torch.ones(3)), -0.05, 0.05, percent=True)
    assert few.describe_power() == "sees nothing with 80 % power: too few samples"
