import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from unscathed import BadInputError
from unscathed.audit import compare_klom, klom


def drawn(models: int, count: int, seed: int, shift: float = 0.0) -> Tensor:
    """Margins of models that have something in common on all samples, as those of one training run do."""
    generator = torch.Generator().manual_seed(seed)
    own = torch.randn(models, count, generator=generator, dtype=torch.float64)
    return shift + 0.9 * own + 0.44 * torch.randn(models, 1, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("bins", [2, 7, 20])
def test_it_is_the_divergence_of_the_histograms(bins: int) -> None:
    models, golds = 60 * drawn(12, 9, 1), 60 * drawn(9, 9, 2)
    assert float(models.abs().max()) > 100, "some are clipped"
    models[:, 3], golds[:, 3] = 2.0, 2.0
    models[:, 4], golds[:, 4] = 2.0, 1.0
    found = klom(models, golds, bins=bins)
    assert found.dtype == torch.float64
    for sample in range(9):
        ours, theirs = (np.clip(part[:, sample].numpy(), -100, 100) for part in (models, golds))
        both = np.concatenate([ours, theirs])
        edges = np.linspace(both.min(), both.max() if both.max() > both.min() else both.min() + 1, bins + 1)
        p, q = (np.histogram(part, edges)[0] / len(part) for part in (ours, theirs))
        # scipy brings both to a sum of 1.
        expected = stats.entropy(p, np.where(p > 0, np.maximum(q, 1e-5), q))
        assert float(found[sample]) == pytest.approx(expected, abs=1e-12)
    assert float(found[3]) == 0
    assert float(found[4]) == pytest.approx(math.log(1e5), abs=1e-4)


def test_the_floor_is_what_gold_itself_comes_to() -> None:
    """KLOM of gold from gold is nothing like 0 with few models, and the floor says so."""
    golds = drawn(16, 300, 1)
    same = compare_klom(drawn(8, 300, 2), golds)
    assert float(same.floor.mean()) > 0.5
    assert float(same.values.mean()) == pytest.approx(float(same.floor.mean()), rel=0.15)
    assert (same.each, same.bins) == (8, 4)
    assert torch.equal(same.floor, (klom(golds[:8], golds[8:], bins=4) + klom(golds[8:], golds[:8], bins=4)) / 2)
    other = compare_klom(drawn(8, 300, 2), golds[:8], more_golds=golds[8:])
    assert torch.equal(other.floor, same.floor)
    # As many of each, whatever there is: the estimate's bias depends on it.
    assert compare_klom(drawn(20, 300, 2)[:8], golds).values.equal(compare_klom(drawn(20, 300, 2), golds).values)


@pytest.mark.parametrize("models", [4, 8, 16])
def test_half_as_many_bins_as_models_see_a_shift_that_the_papers_do_not(models: int) -> None:
    golds, shifted = drawn(2 * models, 400, 1), drawn(models, 400, 2, shift=1.5)

    def times(bins: int | None) -> float:
        found = compare_klom(shifted, golds, bins=bins)
        return float(found.values.mean() / found.floor.mean())

    assert times(None) > 1.5
    assert times(20) < 1.5


def test_the_interval_covers_the_mean_and_separates_what_moved() -> None:
    covered = 0
    draws = [compare_klom(drawn(8, 60, 3 * k), drawn(16, 60, 3 * k + 1)) for k in range(40)]
    middle = sum(float(d.values.mean() - d.ratio * d.floor.mean()) for d in draws) / len(draws)
    for found in draws:
        of = found.difference
        tolerated = (found.ratio - 1) * of.reference
        covered += of.low - tolerated <= middle <= of.high - tolerated
    assert covered / len(draws) >= 0.95
    moved = compare_klom(drawn(8, 60, 1, shift=3), drawn(16, 60, 2)).difference
    assert moved.low > 0.5 * moved.reference


def test_models_and_samples_that_cannot_be_compared() -> None:
    with pytest.raises(BadInputError, match=r"\[3, 5\] and \[3, 4\]"):
        klom(torch.zeros(3, 5), torch.zeros(3, 4))
    with pytest.raises(BadInputError, match="no models on a side"):
        klom(torch.zeros(0, 5), torch.zeros(3, 5))
    with pytest.raises(BadInputError, match="too few"):
        compare_klom(torch.zeros(5, 5), torch.zeros(3, 5))
