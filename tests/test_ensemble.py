import torch

from tests.support import blobs, tiny_task
from unscathed import Batch
from unscathed.ensemble import Ensemble, EnsembleTask


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
