"""The one training loop. Gold, SISA's shards, healing and shadow models all run through `fit` and `tune`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from unscathed.problems import BadInputError, Problems, UnscathedError
from unscathed.samples import Batch, Samples
from unscathed.task import Task
from unscathed.training.callbacks import Callback, LossHistory
from unscathed.training.machine import Machine, full_precision, keeping_memory
from unscathed.training.optimizers import optimizers_for
from unscathed.training.recipe import Recipe
from unscathed.training.seeds import generator, seeded
from unscathed.training.trained import Event, Trained, state_of

Objective = Callable[[Any, Batch], Tensor]
"""From a model's outputs and their batch, what is descended: one number a sample, [n], or several, [n, k]."""
Around = Callable[[nn.Module], AbstractContextManager[object]]
"""What is done to a model before something happens to it, and what after."""


class DivergedError(UnscathedError):
    """Training ran into losses or weights that are not finite."""


def fit(
    task: Task,
    samples: Samples,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    what: str = "fitting",
) -> Trained:
    """Train a new model. The same samples, recipe, seed and machine give the same weights, to the bit.

    Args:
        task: what to build and its loss.
        samples: what to train on.
        recipe: how; by default `Recipe()`.
        seed: of initialisation, batch order, augmentation and dropout (each derived from it).
        callbacks: progress, histories.
        what: the job's name, for callbacks.

    Raises:
        BadInputError: the samples do not suit the task, or the model cannot run on them.
        DivergedError: losses or weights are no longer finite.
    """
    recipe = recipe or Recipe()
    check_fit(task, samples)
    with seeded(seed, "initialisation"):
        model = task.build()
    blank = Trained(task=task, weights=state_of(model), recipe=recipe, seed=seed, ids=())
    history = LossHistory()
    trained = tune(
        blank, samples, recipe, seed=seed, kind="fitted", by="fit", callbacks=[history, *callbacks], what=what
    )
    _warn_if_nothing_was_learned(history.losses, recipe)
    return trained


def tune(
    trained: Trained,
    samples: Samples,
    recipe: Recipe,
    *,
    seed: int,
    kind: str,
    by: str,
    callbacks: Sequence[Callback] = (),
    what: str = "training",
    objective: Objective | None = None,
    weights: Tensor | None = None,
    around_step: Around = nullcontext,
    around_training: Around = nullcontext,
) -> Trained:
    """Train a model further; returns a new one whose ids are joined by the samples'.

    Args:
        trained: where to start.
        samples: what to train on.
        recipe: how and how long.
        seed: of batch order, augmentation and dropout.
        kind: the event's kind in the history.
        by: who does this, for the history.
        callbacks: progress, histories.
        what: the job's name, for callbacks.
        objective: what is descended in place of the task's losses: from outputs and their batch, [n]; or several such
            numbers, [n, k], which weights, [n, k] too, choose from for each sample.
        weights: what each sample's loss is multiplied by, float [n]; by default 1.
        around_step: entered with the model before each of the optimizer's steps, when gradients are there, and left
            after it.
        around_training: entered with the model before the optimizer is made, and left when training is over.

    Raises:
        DivergedError: losses or weights are no longer finite.
    """
    started = time.perf_counter()
    model = trained.model()
    with around_training(model):
        steps = _train(
            model,
            trained.task,
            samples,
            recipe,
            trained.machine,
            seed,
            callbacks,
            what,
            objective or trained.task.losses,
            weights,
            around_step,
        )
    event = Event(kind=kind, by=by, samples=len(samples), steps=steps, seconds=time.perf_counter() - started)
    known = set(trained.ids)
    return trained.after(model, event, ids=(*trained.ids, *(i for i in samples.ids if i not in known)))


def _warn_if_nothing_was_learned(losses: Sequence[float], recipe: Recipe) -> None:
    """Too high a learning rate can kill every unit at once, and leaves finite weights that answer one class."""
    last = losses[-10:]
    if len(losses) >= 20 and sum(last) / len(last) > 0.95 * losses[0]:
        warnings.warn(
            f"training ended at a loss of {sum(last) / len(last):.3g}, where it began ({losses[0]:.3g}): the model has "
            f"learned next to nothing; try another learning_rate than {recipe.learning_rate}",
            stacklevel=3,
        )


def check_fit(task: Task, samples: Samples) -> None:
    """Raise `BadInputError`, naming every problem, unless ``task`` can be trained on ``samples``."""
    problems = Problems("cannot fit")
    if problems.require(len(samples) > 0, "there are no samples to train on"):
        problems.extend(task.problems_with(samples))
    if not problems.found:
        try:
            _try_one(task, samples)
        except BadInputError as error:
            problems.extend(error.problems)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            reason = str(error).splitlines()[0]
            problems.require(False, f"the model cannot run on inputs {tuple(samples.shape)} {samples.dtype}: {reason}")
    problems.raise_any()


def _try_one(task: Task, samples: Samples) -> None:
    """Two samples through the model, its loss and its features, so that what does not fit shows before training."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        model = task.build().eval()
        batch = task.prepare(samples.take(torch.arange(min(2, len(samples)))))
        losses = task.losses(task.outputs(model, batch), batch)
        if losses.shape != (len(batch.inputs),):
            raise ValueError(f"losses are {tuple(losses.shape)} for {len(batch.inputs)} samples; give one a sample")
        task.features(model, batch)


def _train(
    model: nn.Module,
    task: Task,
    samples: Samples,
    recipe: Recipe,
    machine: Machine,
    seed: int,
    callbacks: Sequence[Callback],
    what: str,
    objective: Objective,
    weights: Tensor | None,
    around_step: Around,
) -> int:
    samples = machine.hold(samples)
    batch_size = min(recipe.batch_size, len(samples))
    per_epoch = recipe.steps_per_epoch(len(samples))
    total = recipe.total_steps(len(samples))
    optimizers = optimizers_for(model, recipe)
    order, noise = generator(seed, "batch order"), generator(seed, "augmentation")

    model.train()
    if batch_size == 1:
        # A single sample has no variance to normalise by.
        for layer in model.modules():
            if isinstance(layer, _BatchNorm):
                layer.eval()

    _each(callbacks, "on_start", what, total)
    try:
        with seeded(seed, "dropout"), keeping_memory():
            for step in range(total):
                if step % per_epoch == 0:
                    shuffled = torch.randperm(len(samples), generator=order)
                start = (step % per_epoch) * batch_size
                chosen = shuffled[start : start + batch_size]
                batch = machine.stage(samples.take(chosen))
                batch = task.prepare(batch)
                for augmentation in recipe.augment:
                    batch = batch._replace(inputs=augmentation(batch.inputs, noise))
                batch = machine.stage(batch)
                with machine.computing():
                    outputs = task.outputs(model, batch)
                losses = objective(full_precision(outputs), batch)
                weighed = losses if weights is None else losses * weights[chosen].to(losses)
                loss = weighed.reshape(len(weighed), -1).sum(dim=1).mean()
                model.zero_grad(set_to_none=True)
                with machine.deterministic():
                    loss.backward()  # type: ignore[no-untyped-call]
                with around_step(model):
                    for optimizer in optimizers:
                        for group in optimizer.param_groups:
                            group["lr"] = recipe.learning_rate * recipe.rate(step, total)
                        optimizer.step()
                _each(callbacks, "on_step", step + 1, loss)
                if (step + 1) % per_epoch == 0 or step + 1 == total:
                    _check_finite(model, loss, step + 1, recipe)
    finally:
        _each(callbacks, "on_end")
    model.eval()
    return total


def _check_finite(model: nn.Module, loss: torch.Tensor, step: int, recipe: Recipe) -> None:
    if not torch.isfinite(loss) or not all(torch.isfinite(p).all() for p in model.parameters()):
        raise DivergedError(
            f"training diverged by step {step}: losses or weights are not finite; "
            f"lower learning_rate={recipe.learning_rate}, or check the scale of the inputs"
        )


def _each(callbacks: Sequence[Callback], hook: str, *arguments: object) -> None:
    for callback in callbacks:
        getattr(callback, hook)(*arguments)
