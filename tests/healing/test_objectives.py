import pytest
import torch
from tests.support import blobs, tiny_task

from unscathed import BadInputError, Healer, Recipe, fit
from unscathed.healing import Distillation
from unscathed.samples import Batch
from unscathed.training import Teacher

SAMPLES = blobs(60)
TASK = tiny_task()
BEFORE = fit(TASK, SAMPLES, Recipe(epochs=20, batch_size=8), seed=0)
FRESH = fit(TASK, SAMPLES, Recipe(steps=1, batch_size=8), seed=1)


def apart(model: torch.Tensor) -> float:
    return float((model.softmax(1) - BEFORE.outputs(SAMPLES).softmax(1)).abs().sum(1).mean())


def test_a_student_comes_to_answer_as_its_teacher_without_a_single_label() -> None:
    lies = type(SAMPLES)(SAMPLES.inputs, (SAMPLES.targets + 1) % 3, SAMPLES.ids, classes=SAMPLES.classes)
    healer = Healer(strategy="retain", steps=300, learning_rate=1.0, objective=Distillation())
    taught, misled = (healer.heal(FRESH, retain=part, before=BEFORE) for part in (SAMPLES, lies))
    assert apart(taught.outputs(SAMPLES)) < 0.1 < apart(FRESH.outputs(SAMPLES))
    assert all(torch.equal(taught.weights[n], misled.weights[n]) for n in taught.weights), "labels were looked at"


def test_targets_are_a_share_of_what_is_descended() -> None:
    batch = Batch(SAMPLES.inputs[:5], SAMPLES.targets[:5])
    outputs = FRESH.outputs(SAMPLES)[:5]
    apart = Teacher(BEFORE).divergences(outputs, batch)
    mixed = Distillation(targets=0.25).objective(TASK, BEFORE)(outputs, batch)
    torch.testing.assert_close(mixed, 0.75 * apart + 0.25 * TASK.losses(outputs, batch))


def test_no_teacher_is_named_before_anything_is_trained() -> None:
    with pytest.raises(BadInputError, match="asks the model before unlearning; give before="):
        Healer(strategy="retain", objective=Distillation()).heal(FRESH, retain=SAMPLES)
    with pytest.raises(BadInputError, match="0 ≤ targets < 1"):
        Distillation(targets=1)
