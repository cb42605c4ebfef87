"""Shadow models: trained like the original on random halves of the data, they tell what membership looks like."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass

import torch

from unscathed.executors import InProcess
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training.callbacks import Callback
from unscathed.training.loop import check_fit, fit
from unscathed.training.recipe import Recipe
from unscathed.training.seeds import derive, generator
from unscathed.training.trained import Trained


@dataclass(frozen=True, eq=False)
class Shadows:
    """Shadow models, and who was in which.

    Args:
        models: in order.
        inside: bool [models, n]: whether a model was trained on a sample.
    """

    models: tuple[Trained, ...]
    inside: torch.Tensor


def fit_shadows(
    task: Task,
    samples: Samples,
    recipe: Recipe,
    count: int,
    *,
    seed: int = 0,
    executor: Executor | None = None,
    callbacks: Sequence[Callback] = (),
) -> Shadows:
    """Train shadow models, each on half of the samples; they come in pairs that share no sample.

    So every sample is in exactly half of the models. Each model has a seed of its own: more models later are the
    same models, and some more.

    Args:
        task: of the original.
        samples: that may be members.
        recipe: of the original.
        count: how many models, an even number.
        seed: of halves and of training.
        executor: where they are trained, in parallel; by default here, one after the other.
        callbacks: progress: a step a model.

    Raises:
        BadInputError: the count is not even and positive, or the task cannot be trained on the samples.

    Source: Carlini et al. 2022, "Membership Inference Attacks From First Principles", section IV.
    """
    problems = Problems("cannot fit shadow models")
    problems.require(count >= 2 and count % 2 == 0, f"count={count} must be an even number of at least 2")
    problems.require(len(samples) >= 2, f"{len(samples)} samples cannot be halved")
    problems.raise_any()
    check_fit(task, samples)
    inside = torch.stack([shadow_half(len(samples), model, seed) for model in range(count)])
    place = executor or InProcess()
    for callback in callbacks:
        callback.on_start("shadow models", count)
    try:
        jobs = [
            place.submit(fit, task, _rows(samples, mask), recipe, seed=shadow_seed(seed, model))
            for model, mask in enumerate(inside)
        ]
        for done, job in enumerate(as_completed(jobs), start=1):
            job.result()
            for callback in callbacks:
                callback.on_step(done)
    finally:
        for callback in callbacks:
            callback.on_end()
    return Shadows(tuple(job.result() for job in jobs), inside)


def shadow_half(samples: int, model: int, seed: int) -> torch.Tensor:
    """Which samples a shadow model is trained on, bool [samples]; models 2k and 2k + 1 share none."""
    order = torch.randperm(samples, generator=generator(seed, "shadow halves", model // 2))
    inside = torch.zeros(samples, dtype=torch.bool)
    inside[order[: samples // 2]] = True
    return inside if model % 2 == 0 else ~inside


def shadow_seed(seed: int, model: int) -> int:
    """The training seed of a shadow model."""
    return derive(seed, "shadow", model)


def _rows(samples: Samples, mask: torch.Tensor) -> Samples:
    return samples.only(samples.ids[p] for p in mask.nonzero().flatten().tolist())
