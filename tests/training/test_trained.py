import pytest
import torch
from tests.support import blobs, tiny_task

from unscathed import BadInputError, Recipe, fit
from unscathed.training import Event


def test_evaluation_agrees_with_the_model() -> None:
    samples = blobs(300)
    trained = fit(tiny_task(), samples, Recipe(epochs=1, batch_size=7), seed=0)
    with torch.no_grad():
        logits = trained.model()(samples.inputs)
    found = trained.evaluate(samples)
    torch.testing.assert_close(trained.outputs(samples), logits)
    torch.testing.assert_close(
        found.losses, torch.nn.functional.cross_entropy(logits, samples.targets, reduction="none")
    )
    assert trained.score(samples) == pytest.approx(float((logits.argmax(1) == samples.targets).float().mean()))
    assert trained.features(samples).shape == (300, 8)


def test_a_model_that_was_handed_out_can_be_changed_freely() -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=1), seed=0)
    before = trained.outputs(blobs())
    with torch.no_grad():
        for parameter in trained.model().parameters():
            parameter.zero_()
    assert torch.equal(trained.outputs(blobs()), before)


def test_new_parameters_and_fewer_ids() -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=1), seed=0)
    event = Event(kind="unlearned", by="test", samples=1, steps=0, seconds=0.0)
    changed = trained.with_parameters({"0.bias": torch.full((8,), 3.0)}, event, trained.ids[:1])
    assert torch.equal(changed.weights["0.bias"], torch.full((8,), 3.0))
    assert torch.equal(changed.weights["0.weight"], trained.weights["0.weight"])
    assert changed.ids == trained.ids[1:]
    assert "unlearned by test" in repr(changed)


def test_evaluating_nothing_is_refused() -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=1), seed=0)
    with pytest.raises(BadInputError, match="no samples"):
        trained.evaluate(blobs().only([]))
