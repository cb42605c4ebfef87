import pytest
import torch
from tests.support import Ridge, blobs, ridge_trained, tiny_task, trained_by_hand

from unscathed.audit import calibration_error, compare_calibration
from unscathed.audit.calibration import confidences


def by_hand(confidence: list[float], right: list[float], bins: int) -> float:
    """Bin by bin, as the source has it."""
    total = 0.0
    for b in range(bins):
        inside = [i for i, c in enumerate(confidence) if b / bins < c <= (b + 1) / bins]
        if inside:
            accuracy = sum(right[i] for i in inside) / len(inside)
            sure = sum(confidence[i] for i in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - sure)
    return total


@pytest.mark.parametrize("bins", [1, 3, 15])
def test_it_is_the_sources_bin_by_bin(bins: int) -> None:
    generator = torch.Generator().manual_seed(bins)
    confidence = torch.rand(200, generator=generator).double()
    confidence[:3] = torch.tensor([1.0, 1 / 3, 2 / 3])
    right = (torch.rand(200, generator=generator) < 0.6).float()
    assert calibration_error(confidence, right, bins) == pytest.approx(
        by_hand(confidence.tolist(), right.tolist(), bins), abs=1e-12
    )


def test_who_says_what_is_so_has_none_and_who_is_too_sure_does() -> None:
    right = torch.tensor([1.0, 1.0, 1.0, 0.0]).repeat(25)
    assert calibration_error(torch.full((100,), 0.75), right) == pytest.approx(0)
    assert calibration_error(torch.full((100,), 0.95), right) == pytest.approx(0.2, abs=1e-6)


def test_a_bin_has_its_upper_end_and_not_its_lower() -> None:
    on_the_edge, right = torch.tensor([0.5, 0.75]), torch.tensor([1.0, 0.0])
    assert calibration_error(on_the_edge, right, 2) == pytest.approx((0.5 + 0.75) / 2)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Two models that are too sure by 0.1 and by 0.04, so that their errors differ by 0.06."""
    generator = torch.Generator().manual_seed(0)
    draws, held = 150, 0
    for seed in range(draws):
        truth = 0.5 + 0.4 * torch.rand(2, 400, generator=generator)
        right = (torch.rand(2, 400, generator=generator) < truth).float()
        sure = truth + torch.tensor([[0.1], [0.04]])
        found = compare_calibration(sure[0], right[0], sure[1], right[1], bins=5, resamples=100, seed=seed)
        held += found.low <= 0.06 <= found.high
    assert 0.88 < held / draws < 0.995


def test_confidence_is_of_the_class_answered_and_of_classes_alone() -> None:
    model = trained_by_hand(tiny_task(), blobs(20))
    expected = model.outputs(blobs(20)).softmax(dim=1).max(dim=1).values
    torch.testing.assert_close(confidences(model, blobs(20)), expected)
    trained, samples = ridge_trained()
    assert isinstance(trained.task, Ridge)
    assert confidences(trained, samples) is None
