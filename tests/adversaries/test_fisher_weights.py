"""The rate at which noise grows, in float64, against automatic differentiation of what it is the rate of."""

import pytest
import torch
from scipy.stats import spearmanr
from tests.curvature.test_fisher import gradients_one_by_one
from tests.support.descent import small_model
from torch import Tensor

from unscathed import BadInputError, ParameterView, Samples
from unscathed.adversaries import FisherWeights

TRAINED, SAMPLES = small_model()
VALIDATION = Samples(SAMPLES.inputs[:10].flip(0) + 0.1, SAMPLES.targets[:10])
SQUARES = gradients_one_by_one(TRAINED, SAMPLES).square()
COST = gradients_one_by_one(TRAINED, VALIDATION).square().mean(dim=0)


def damage(weights: Tensor, lowest: float, calibrated: bool) -> Tensor:
    """``D``, or ``log(D / R)``, where samples have weights [n]."""
    information = (weights @ SQUARES / weights.sum()).clamp_min(lowest)
    harm = (COST * information.pow(-0.5)).sum()
    return (harm / information.sqrt().sum()).log() if calibrated else harm


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("floor", [1e-9, 0.5])
def test_values_are_exact_rates(floor: float, calibrated: bool) -> None:
    lowest = floor * float(SQUARES.mean())
    below = int((SQUARES.mean(dim=0) < lowest).sum())
    assert (below > 5) == (floor == 0.5)
    ones = torch.ones(len(SAMPLES), dtype=torch.float64)
    expected = -torch.func.grad(lambda w: damage(w, lowest, calibrated))(ones)
    view = ParameterView(TRAINED, SAMPLES, validation=VALIDATION)
    values = FisherWeights(3, calibrated=calibrated, floor=floor).values(view)
    torch.testing.assert_close(values, expected, rtol=1e-9, atol=1e-13)


def test_they_rank_samples_as_taking_each_away_does() -> None:
    ones = torch.ones(len(SAMPLES), dtype=torch.float64)
    lowest = 1e-3 * float(SQUARES.mean())
    whole = damage(ones, lowest, True)
    each = torch.stack([damage(1 - unit, lowest, True) - whole for unit in torch.eye(len(SAMPLES)).double()])
    values = FisherWeights(3).values(ParameterView(TRAINED, SAMPLES, validation=VALIDATION))
    assert spearmanr(values, each).statistic > 0.95
    luck = torch.rand(len(SAMPLES), generator=torch.Generator().manual_seed(0))
    assert abs(spearmanr(luck, each).statistic) < 0.4, "a random score does not"


def test_a_floor_must_be_positive() -> None:
    with pytest.raises(BadInputError, match=r"floor=0\.0"):
        FisherWeights(3, floor=0.0)
