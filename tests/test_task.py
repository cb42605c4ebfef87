from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support import Ridge, blobs, tiny_task
from unscathed import BadInputError, Batch, ClassificationTask, Recipe, Samples, Task, fit


class UsersNet(nn.Module):
    """A user's own model."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.middle = nn.Linear(16, 6)
        self.last = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(torch.relu(self.middle(self.first(images).flatten(1))))


IMAGES = Batch(torch.rand(5, 1, 4, 4), torch.arange(5) % 3)


def test_features_are_by_default_what_enters_the_last_linear_layer() -> None:
    model = UsersNet()
    expected = torch.relu(model.middle(model.first(IMAGES.inputs).flatten(1)))
    assert torch.equal(ClassificationTask(UsersNet, 3).features(model, IMAGES), expected)


def test_features_of_a_named_layer_and_by_function() -> None:
    model = UsersNet()
    named = ClassificationTask(UsersNet, 3, features="first").features(model, IMAGES)
    assert torch.equal(named, model.first(IMAGES.inputs).flatten(1))
    own = ClassificationTask(UsersNet, 3, features=lambda m, x: x * 2).features(model, IMAGES)
    assert torch.equal(own, IMAGES.inputs.flatten(1) * 2)


def test_features_that_cannot_be_found_are_an_error_before_training() -> None:
    samples = Samples(IMAGES.inputs, IMAGES.targets)
    with pytest.raises(BadInputError, match=r"no layer 'midle'; it has 'first', 'middle', 'last'"):
        fit(ClassificationTask(UsersNet, 3, features="midle"), samples, Recipe(epochs=1))
    with pytest.raises(BadInputError, match=r"no nn.Linear layer"):
        fit(ClassificationTask(lambda: nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten()), 3), samples, Recipe(epochs=1))


def test_margins_are_log_odds_of_the_right_class() -> None:
    logits = torch.randn(20, 4, dtype=torch.float64)
    targets = torch.arange(20) % 4
    right = logits.softmax(1).gather(1, targets[:, None]).squeeze(1)
    margins = tiny_task().margins(logits, Batch(logits, targets))
    torch.testing.assert_close(margins, torch.log(right / (1 - right)))


def test_divergences_are_kl() -> None:
    one, other = torch.randn(2, 9, 5, dtype=torch.float64)
    kl = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=one), torch.distributions.Categorical(logits=other)
    )
    torch.testing.assert_close(tiny_task().divergences(one, other, Batch(one, torch.zeros(9))), kl)


def test_aggregation_is_the_mean_probability() -> None:
    parts = torch.randn(3, 6, 4, dtype=torch.float64)
    mean = parts.softmax(2).mean(0)
    torch.testing.assert_close(tiny_task().aggregate(list(parts)).exp(), mean)


def test_a_task_that_is_not_classification_has_defaults() -> None:
    task: Task = Ridge(2)
    batch = Batch(torch.ones(3, 2, dtype=torch.float64), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    outputs: Any = torch.tensor([[1.0], [1.0], [5.0]], dtype=torch.float64)
    assert task.scores(outputs, batch).tolist() == [0, -0.5, -2]
    assert task.margins(outputs, batch).tolist() == [0, -0.5, -2]
    assert task.divergences(outputs, outputs - 1, batch).tolist() == [0.5, 1.5, 0]
    assert task.labels(batch.targets) is None
    assert task.aggregate([outputs, outputs + 2]).tolist() == [[2.0], [2.0], [6.0]]


def test_uint8_is_scaled_and_normalised() -> None:
    task = ClassificationTask(UsersNet, 3, normalise=([0.5], [0.25]))
    pixels = torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)
    assert torch.equal(task.prepare(Batch(pixels, pixels)).inputs, torch.full((1, 1, 2, 2), 2.0))


@pytest.mark.parametrize(
    ("targets", "words"),
    [([0, 1, 3], r"1 targets are out of range \(ids 'c'\); with classes=3 they must lie in 0…2"),
     ([0, -1, 2], "1 targets are out of range"),
     ([0.0, 1.0, 2.0], "float32; classification takes one class index"),
     (None, r"\(3, 0\)")],
)  # fmt: skip
def test_targets_that_are_no_classes(targets: Any, words: str) -> None:
    samples = Samples(torch.randn(3, 3), None if targets is None else torch.tensor(targets), list("abc"))
    with pytest.raises(BadInputError, match=words):
        fit(tiny_task(), samples)


def test_inputs_that_do_not_fit_the_model() -> None:
    with pytest.raises(BadInputError, match="the model cannot run on inputs"):
        fit(tiny_task(classes=5), blobs(classes=3))


def test_losses_must_be_one_a_sample() -> None:
    class Mean(Ridge):
        def losses(self, outputs: Any, batch: Batch) -> Tensor:
            return super().losses(outputs, batch).mean()

    with pytest.raises(BadInputError, match="give one a sample"):
        fit(Mean(2), Samples(torch.randn(4, 2, dtype=torch.float64), torch.randn(4, dtype=torch.float64)))


def test_signatures_tell_tasks_apart() -> None:
    assert tiny_task().signature() == tiny_task().signature()
    assert tiny_task(3).signature() != tiny_task(4).signature()
    assert Ridge(3).signature() != Ridge(4).signature()
