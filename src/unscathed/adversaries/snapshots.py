"""Snapshots: a model watched while it is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from unscathed.adversaries.views import OutputView
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training import Recipe, State, Trained, check_fit, state_of, tune
from unscathed.training.seeds import seeded


def fit_watched(
    task: Task,
    samples: Samples,
    recipe: Recipe | None = None,
    *,
    looks: int = 10,
    seed: int = 0,
    labels_only: bool = False,
) -> tuple[Trained, tuple[OutputView, ...]]:
    """Train a model as `fit` does, and keep views of it on the way: ``(trained, earlier)``, for `ForgettingEvents`.

    Who trains a model of its own on the samples that it knows watches that one; an insider, the one that is attacked.

    Args:
        task, samples, recipe, seed: see `fit`; the weights are the same, to the bit.
        looks: how many views, after steps that are evenly spaced and before the last.
        labels_only: see `OutputView`.

    Raises:
        BadInputError: the samples do not suit the task, or there are not so many steps.
        DivergedError: losses or weights are no longer finite.
    """
    recipe = recipe or Recipe()
    check_fit(task, samples)
    total = recipe.total_steps(len(samples))
    problems = Problems("cannot watch the training")
    problems.require(1 <= looks < total, f"looks={looks} must be at least 1, and fewer than the {total} steps")
    problems.raise_any()
    moments = {total * look // (looks + 1) for look in range(1, looks + 1)}
    states: list[State] = []
    steps = 0

    @contextmanager
    def watch(model: nn.Module) -> Iterator[None]:
        nonlocal steps
        yield
        steps += 1
        if steps in moments:
            states.append(state_of(model))

    with seeded(seed, "initialisation"):
        model = task.build()
    blank = Trained(task=task, weights=state_of(model), recipe=recipe, seed=seed, ids=())
    trained = tune(blank, samples, recipe, seed=seed, kind="fitted", by="fit_watched", around_step=watch)
    looked = [Trained(task=task, weights=state, recipe=recipe, seed=seed, ids=samples.ids) for state in states]
    return trained, tuple(OutputView(then, samples, labels_only=labels_only) for then in looked)
