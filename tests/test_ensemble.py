import pytest
import torch
from torch import nn

from tests.support import blobs, tiny_task
from unscathed import Batch, ClassificationTask, Samples
from unscathed.ensemble import Ensemble, EnsembleTask
from unscathed.task import majority_vote, mean_probability


def test_an_ensemble_predicts_the_mean_probability_of_its_members() -> None:
    task = EnsembleTask(tiny_task(), 3)
    model = task.build()
    assert isinstance(model, Ensemble)
    samples = blobs(6)
    batch = Batch(samples.inputs, samples.targets)
    mean = torch.stack([m(batch.inputs).softmax(1) for m in model.members]).mean(0)
    torch.testing.assert_close(task.outputs(model, batch).exp(), mean)
    assert task.features(model, batch).shape == (6, 24)
    assert task.signature()["members"] == 3


def test_an_ensemble_votes_where_it_is_asked_to() -> None:
    task = EnsembleTask(tiny_task(), 3, "vote")
    model = task.build()
    assert isinstance(model, Ensemble)
    samples = blobs(60, spread=2.0)
    batch = Batch(samples.inputs, samples.targets)
    said = [m(batch.inputs) for m in model.members]
    torch.testing.assert_close(task.outputs(model, batch), majority_vote(said))
    assert not torch.equal(task.outputs(model, batch), mean_probability(said))
    torch.testing.assert_close(task.vote(said), majority_vote(said))
    assert task.can_vote
    assert task.signature() == {**EnsembleTask(tiny_task(), 3).signature(), "aggregation": "vote"}


def test_measures_of_a_whole_ensemble_are_its_members_mean() -> None:
    class Weighed(ClassificationTask):
        score_range = 3.0

        def quality(self, model: nn.Module, samples: Samples, seed: int) -> dict[str, float]:
            return {"weight": float(next(model.parameters()).detach().sum()) * len(samples) + seed}

    member = Weighed(tiny_task().model, 3)
    task = EnsembleTask(member, 2)
    model = task.build()
    assert isinstance(model, Ensemble)
    weights = [float(next(m.parameters()).detach().sum()) for m in model.members]
    assert task.quality(model, blobs(6), 5) == {"weight": pytest.approx(sum(weights) / 2 * 6 + 5)}
    assert EnsembleTask(tiny_task(), 2).quality(model, blobs(6), 5) == {}
    assert task.score_range == 3.0
