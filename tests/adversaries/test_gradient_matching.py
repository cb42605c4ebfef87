import pytest
import torch
from tests.support import blobs, tiny_task, trained_by_hand
from tests.support.descent import small_model
from torch import Tensor, nn

from unscathed import BadInputError, ClassificationTask, ParameterView, Samples
from unscathed.adversaries import GradientMatching
from unscathed.adversaries.gradient_matching import herd
from unscathed.curvature import ModelFunction


def greedily(gradients: Tensor, target: Tensor, count: int) -> list[int]:
    """Every set that is one sample larger is tried."""
    chosen: list[int] = []
    for step in range(1, count + 1):
        left = [p for p in range(len(gradients)) if p not in chosen]
        apart = [float((gradients[[*chosen, p]].sum(dim=0) - step * target).norm()) for p in left]
        chosen.append(left[apart.index(min(apart))])
    return chosen


@pytest.mark.parametrize("reach", [0.5, 1.0, 10.0])
def test_each_sample_brings_the_set_nearest_to_the_validation_gradient(reach: float) -> None:
    trained, samples = small_model()
    validation = Samples(samples.inputs.flip(0) + 0.1, samples.targets)
    function = ModelFunction(trained, only={"2.weight", "2.bias"})
    gradients = torch.stack([function.mean_gradient(samples.only([i])) for i in samples.ids])
    expected = greedily(gradients, reach * function.mean_gradient(validation), 9)
    view = ParameterView(trained, samples, validation=validation)
    assert GradientMatching(9, reach=reach).choose(view) == tuple(samples.ids[p] for p in expected)


def test_the_set_matches_where_the_best_aligned_samples_do_not() -> None:
    generator = torch.Generator().manual_seed(2)
    slopes = torch.randn(80, 3, generator=generator, dtype=torch.float64)
    features = torch.randn(80, 5, generator=generator, dtype=torch.float64)
    gradients = (slopes[:, :, None] * features[:, None, :]).flatten(1)
    target = torch.randn(15, generator=generator, dtype=torch.float64) / 4

    def apart(chosen: list[int]) -> float:
        return float((gradients[chosen].mean(dim=0) - target).norm() / target.norm())

    assert apart(herd(slopes, features, target.view(3, 5), 16)) < 0.5
    assert apart((gradients @ target).argsort(descending=True)[:16].tolist()) > 1.2
    assert apart(list(range(16))) > 1.2, "nor do any others"


def test_what_does_not_suit_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"reach=0\.0"):
        GradientMatching(3, reach=0.0)
    task = ClassificationTask(lambda: nn.Sequential(nn.Linear(3, 3), nn.LogSoftmax(1)), 3)
    view = ParameterView(trained_by_hand(task, blobs(12)), blobs(12), validation=blobs(6))
    with pytest.raises(BadInputError, match=r"cannot attack with GradientMatching: .*end the model with it"):
        GradientMatching(3).choose(view)
    fine = ParameterView(trained_by_hand(tiny_task(), blobs(12)), blobs(12), validation=blobs(6))
    assert len(GradientMatching(3).choose(fine)) == 3
