import pytest
import torch

from unscathed.audit.intervals import paired, unpaired


@pytest.mark.parametrize("accuracy", [0.7, 0.97])
def test_intervals_cover_the_truth_as_often_as_they_say(accuracy: float) -> None:
    """Coverage over many draws of two models of equal skill that agree on most samples."""
    generator = torch.Generator().manual_seed(0)
    held = dict.fromkeys(("paired", "unpaired"), 0)
    draws = 2000
    for _ in range(draws):
        shared = torch.rand(200, generator=generator) < accuracy
        redrawn = torch.rand(2, 200, generator=generator) < 0.1
        fresh = torch.rand(2, 200, generator=generator) < accuracy
        one, other = torch.where(redrawn, fresh, shared.expand(2, -1)).float()
        found = paired(one, other)
        held["paired"] += found.low <= 0 <= found.high
        another = (torch.rand(150, generator=generator) < accuracy).float()
        found = unpaired(one, another)
        held["unpaired"] += found.low <= 0 <= found.high
    for kind, times in held.items():
        assert 0.935 < times / draws < 0.995, kind


def test_agreement_on_few_samples_is_no_certainty() -> None:
    few, many = paired(torch.ones(5), torch.ones(5)), paired(torch.ones(5000), torch.ones(5000))
    assert few.low < -0.3
    assert few.high > 0.3
    assert few.low < many.low < 0 < many.high < 0.01


def test_comparisons_widen_the_interval() -> None:
    one, other = torch.tensor([1.0, 0, 1, 1, 0, 1]), torch.tensor([1.0, 1, 0, 1, 0, 1])
    assert paired(one, other, comparisons=10).low < paired(one, other).low


def test_weights_give_other_samples_their_share() -> None:
    found = unpaired(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0, 0.0]), torch.tensor([2.0, 1.0, 1.0]))
    assert found.reference == pytest.approx(0.5)
    assert found.difference == pytest.approx(0.5)
