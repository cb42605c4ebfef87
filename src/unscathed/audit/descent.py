"""Descent: a model tuned until its mean loss on some samples is low enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from unscathed.samples import Samples
from unscathed.training import DivergedError, Event, Trained, full_precision, tune


@dataclass(frozen=True, eq=False)
class Descent:
    """How a model came down to a loss.

    Args:
        losses: the mean loss on the samples, before the first step and after each.
        reached: whether it came down to the level.
        steps: how many steps that took, between steps by straight lines; else all that were taken.
        model: what came of it.
    """

    losses: tuple[float, ...]
    reached: bool
    steps: float
    model: Trained


def descend(
    model: Trained,
    samples: Samples,
    *,
    level: float,
    ceiling: int,
    learning_rate: float,
    seed: int,
) -> Descent:
    """Tune a model on samples until their mean loss is at a level, at a constant rate and without augmentation.

    Args:
        model: where to start; it is not changed.
        samples: what is tuned on, and whose loss is samples (in evaluation mode).
        level: of the mean loss.
        ceiling: the most steps.
        learning_rate: a share of the recipe's peak.
        seed: of batch order and dropout.
    """
    losses = [_mean_loss(model, model.model(), samples)]
    if losses[0] <= level:
        return Descent(tuple(losses), True, 0.0, model)
    last: list[nn.Module] = []

    @contextmanager
    def watching(tuned: nn.Module) -> Iterator[None]:
        yield
        losses.append(_mean_loss(model, tuned, samples))
        last[:] = [tuned]
        if losses[-1] <= level:
            raise _ReachedError

    recipe = replace(
        model.recipe.lasting(steps=ceiling),
        schedule="constant",
        learning_rate=learning_rate * model.recipe.learning_rate,
        augment=(),
    )
    reached, steps = False, float(ceiling)
    try:
        tune(
            model,
            samples,
            recipe,
            seed=seed,
            kind="relearned",
            by="descend",
            what="relearning",
            around_step=watching,
        )
    except DivergedError:
        pass  # it never came down
    except _ReachedError:
        before, after = losses[-2:]
        reached, steps = True, len(losses) - 2 + (before - level) / (before - after)
    event = Event(kind="relearned", by="descend", samples=len(samples), steps=len(losses) - 1, seconds=0.0)
    known = set(model.ids)
    ids = (*model.ids, *(i for i in samples.ids if i not in known))
    return Descent(tuple(losses), reached, steps, model.after(last[0].eval(), event, ids=ids))


class _ReachedError(Exception):
    """The level is reached: the loop is left from within."""


def _mean_loss(trained: Trained, model: nn.Module, samples: Samples) -> float:
    """The mean loss of a module on its way, in evaluation mode; afterwards it is in the mode that it was in."""
    machine, task, training = trained.machine, trained.task, model.training
    model.eval()
    total = 0.0
    with torch.no_grad():
        for batch in samples.batches(max(256, 2 * trained.recipe.batch_size)):
            prepared = machine.stage(task.prepare(machine.stage(batch)))
            with machine.computing():
                outputs = task.outputs(model, prepared)
            total += float(task.losses(full_precision(outputs), prepared).double().sum())
    model.train(training)
    return total / len(samples)
