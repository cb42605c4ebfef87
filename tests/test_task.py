from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn

from tests.support import Ridge, blobs, tiny_task
from unscathed import BadInputError, Batch, ClassificationTask, Recipe, Samples, Task, fit
from unscathed.task import majority_vote


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


@given(
    hnp.arrays(np.int64, (3, 4, 3), elements=st.integers(-2, 2)),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_a_vote_is_the_majority_s_and_ties_go_to_the_likelier_class(logits: Any, dtype: torch.dtype) -> None:
    outputs = torch.from_numpy(logits).to(dtype)
    voted = majority_vote(list(outputs))
    assert voted.dtype == dtype
    mean = outputs.softmax(-1).mean(0)
    for row in range(4):
        votes = [int((outputs[:, row].argmax(-1) == c).sum()) for c in range(3)]
        shares = [(v + float(p)) / 4 for v, p in zip(votes, mean[row], strict=True)]
        assert voted[row].exp().tolist() == pytest.approx(shares, rel=1e-5)
        tied = [c for c in range(3) if votes[c] == max(votes)]
        best = max(float(mean[row, c]) for c in tied)
        likeliest = [c for c in tied if float(mean[row, c]) >= best - 1e-7]
        assert int(voted[row].argmax()) in likeliest


def test_a_tie_of_equally_likely_classes_goes_to_the_first() -> None:
    outputs = [torch.tensor([[0.0, 3.0, 0.0]]), torch.tensor([[0.0, 0.0, 3.0]])]
    assert int(majority_vote(outputs).argmax()) == 1
    assert int(majority_vote(outputs[::-1]).argmax()) == 1


def test_a_vote_has_finite_losses_margins_and_derivatives_however_sure_the_voters() -> None:
    """Here one class has no vote, and probabilities below what float32 holds."""
    task = tiny_task()
    outputs = torch.tensor([[[300.0, 0, -300]], [[300, -300, 0]], [[0, 300, -300]]], requires_grad=True)
    voted = task.vote(list(outputs))
    other = task.aggregate(list(outputs))
    for target in range(3):
        batch = Batch(torch.zeros(1, 3), torch.tensor([target]))
        for values in (
            task.losses(voted, batch),
            task.scores(voted, batch),
            task.margins(voted, batch),
            task.divergences(voted, other, batch),
            task.divergences(other, voted, batch),
        ):
            assert torch.isfinite(values).all()
        (gradient,) = torch.autograd.grad(task.losses(voted, batch).sum(), outputs, retain_graph=True)
        assert torch.isfinite(gradient).all()


def test_derivatives_of_a_vote_are_those_between_changes_of_mind() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64)

    def vote(of: Tensor) -> Tensor:
        return majority_vote(list(of))

    one_by_one = torch.func.vmap(vote, in_dims=1)(outputs)
    torch.testing.assert_close(one_by_one, vote(outputs))
    assert torch.autograd.gradcheck(vote, outputs.requires_grad_())
    (gradient,) = torch.autograd.grad(vote(outputs)[:, 0].sum(), outputs)
    assert gradient.abs().min() > 0


def test_only_tasks_with_classes_vote() -> None:
    assert tiny_task().can_vote
    assert not Ridge(3).can_vote
    with pytest.raises(BadInputError, match="Ridge predicts no classes; aggregate by 'mean'"):
        Ridge(3).vote([torch.zeros(2, 1)])


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
