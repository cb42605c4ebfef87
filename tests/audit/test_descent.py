from dataclasses import replace

import pytest
import torch
from tests.support import Ridge, blobs, tiny_task, trained_by_hand
from torch import nn

from unscathed import ClassificationTask, Recipe, Samples, Shift, Trained
from unscathed.audit.descent import descend

RATE = 0.4


def orthonormal(residual: float, count: int = 4) -> tuple[Trained, Samples]:
    """Orthonormal samples, all equally wrong; a step of gradient descent on n takes 1/n of RATE off every residual."""
    samples = Samples(torch.eye(count, dtype=torch.float64), torch.ones(count, dtype=torch.float64))
    recipe = Recipe(
        steps=1,
        optimizer="sgd",
        momentum=0,
        weight_decay=0,
        learning_rate=RATE,
        precision="float32",
        device="cpu",
    )
    weights = {"weight": torch.full((1, count), 1 + residual, dtype=torch.float64)}
    return trained_by_hand(Ridge(count), samples.only([]), weights=weights, recipe=recipe), samples


@pytest.mark.parametrize("learning_rate", [1.0, 0.5])
def test_steps_are_those_of_gradient_descent(learning_rate: float) -> None:
    model, samples = orthonormal(1.0)
    shrinks = (1 - learning_rate * RATE / 4) ** 2
    found = descend(model, samples, level=0.1, ceiling=100, learning_rate=learning_rate, seed=0)
    losses = [0.5]
    while losses[-1] > 0.1:
        losses.append(losses[-1] * shrinks)
    assert found.losses == pytest.approx(losses)
    assert found.steps == pytest.approx(len(losses) - 2 + (losses[-2] - 0.1) / (losses[-2] - losses[-1]))
    assert found.reached
    assert float(found.model.evaluate(samples).losses.mean()) == pytest.approx(losses[-1])
    assert found.model.ids == samples.ids
    assert found.model.history[-1].steps == len(losses) - 1
    assert float(model.evaluate(samples).losses.mean()) == pytest.approx(0.5), "the model is not changed"


def test_who_is_there_takes_no_step_and_who_is_stopped_is_known_to_take_more() -> None:
    model, samples = orthonormal(0.1)
    there = descend(model, samples, level=0.1, ceiling=100, learning_rate=1.0, seed=0)
    assert (there.steps, there.reached, there.model) == (0.0, True, model)
    stopped = descend(model, samples, level=1e-9, ceiling=7, learning_rate=1.0, seed=0)
    assert (stopped.steps, stopped.reached, len(stopped.losses)) == (7.0, False, 8)


def test_a_model_that_diverges_never_comes_down() -> None:
    model, samples = orthonormal(1.0)
    found = descend(model, samples, level=0.1, ceiling=2000, learning_rate=100.0, seed=0)
    assert (found.reached, found.steps) == (False, 2000.0)


def test_the_loss_watched_is_that_of_evaluation_without_schedule_and_augmentation() -> None:
    task = ClassificationTask(lambda: nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 3)), 3)
    samples = blobs(40)
    model = trained_by_hand(task, samples)
    found = descend(model, samples, level=-1, ceiling=3, learning_rate=1.0, seed=0)
    assert found.losses[0] == pytest.approx(float(model.evaluate(samples).losses.double().mean()))
    assert found.losses[-1] == pytest.approx(float(found.model.evaluate(samples).losses.double().mean()))
    # An augmentation that cannot run on such inputs is never asked.
    augmented = replace(model, recipe=replace(model.recipe, augment=(Shift(1),)))
    assert descend(augmented, samples, level=-1, ceiling=3, learning_rate=1.0, seed=0).losses == found.losses


def test_between_looks_the_model_trains() -> None:
    modes: list[bool] = []

    class Watched(nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            modes.append(self.training)
            return super().forward(inputs)

    model = trained_by_hand(ClassificationTask(lambda: Watched(3, 3), 3), blobs(9))
    descend(model, blobs(9), level=-1, ceiling=2, learning_rate=1.0, seed=0)
    assert modes == [False, True, False, True, False]


def test_batches_come_in_another_order_with_another_seed() -> None:
    samples = blobs(60)
    model = trained_by_hand(tiny_task(), samples)
    runs = [descend(model, samples, level=-1, ceiling=5, learning_rate=1.0, seed=seed).losses for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]
