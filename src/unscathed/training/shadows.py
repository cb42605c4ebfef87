"""Shadow models: trained like the original on random halves of the data, they tell what membership looks like."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unscathed.executors import InProcess
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training.callbacks import Callback
from unscathed.training.checkpoint import RECORD, write_atomically
from unscathed.training.loop import check_fit, fit
from unscathed.training.recipe import Recipe
from unscathed.training.seeds import derive, generator
from unscathed.training.trained import Trained

MADE_WITH = "made_with.json"
"""In a folder of shadow models: the task, the recipe, the seed and the samples of all of them."""


@dataclass(frozen=True, eq=False)
class Shadows:
    """Shadow models, and who was in which.

    Args:
        models: in order.
        inside: bool [models, n]: whether a model was trained on a sample.
    """

    models: tuple[Trained, ...]
    inside: torch.Tensor

    def __repr__(self) -> str:
        return f"Shadows({len(self.models)} models, {self.inside.shape[1]} samples)"


def fit_shadows(
    task: Task,
    samples: Samples,
    recipe: Recipe,
    count: int,
    *,
    seed: int = 0,
    folder: str | Path | None = None,
    executor: Executor | None = None,
    callbacks: Sequence[Callback] = (),
) -> Shadows:
    """Train shadow models, each on half of the samples; they come in pairs that share no sample.

    So every sample is in exactly half of the models. Each model has a seed of its own: more models later are the
    same models, and some more. With a folder, each is saved when it is trained and found again by the next call:
    what was interrupted goes on, and more models later are trained alone.

    Args:
        task: of the original.
        samples: that may be members.
        recipe: of the original.
        count: how many models, an even number.
        seed: of halves and of training.
        folder: where they are kept (made if missing); by default nowhere.
        executor: where they are trained, in parallel; by default here, one after the other.
        callbacks: progress: a step a model.

    Raises:
        BadInputError: the count is not even and positive, the task cannot be trained on the samples, or the folder
            holds shadow models of another task, recipe, seed or samples, or damaged ones.

    Source: Carlini et al. 2022, "Membership Inference Attacks From First Principles", section IV.
    """
    problems = Problems("cannot fit shadow models")
    problems.require(count >= 2 and count % 2 == 0, f"count={count} must be an even number of at least 2")
    problems.require(len(samples) >= 2, f"{len(samples)} samples cannot be halved")
    problems.raise_any()
    check_fit(task, samples)
    inside = torch.stack([shadow_half(len(samples), model, seed) for model in range(count)])
    kept = None if folder is None else _opened(Path(folder), task, samples, recipe, seed)
    place = executor or InProcess()
    for callback in callbacks:
        callback.on_start("shadow models", count)
    jobs: list[Future[Trained]] = []
    reported = 0
    try:
        for model, mask in enumerate(inside):
            at = None if kept is None else kept / f"{model:04}"
            jobs.append(place.submit(_obtain, task, _rows(samples, mask), recipe, shadow_seed(seed, model), at))
            # Here, a job is done when it is submitted.
            reported = _report(jobs, reported, callbacks)
        for _ in as_completed(jobs):
            reported = _report(jobs, reported, callbacks)
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


def _report(jobs: Sequence[Future[Trained]], reported: int, callbacks: Sequence[Callback]) -> int:
    """Tell callbacks of jobs that are done since, and raise what ended any; how many are done."""
    done = [job for job in jobs if job.done()]
    for job in done:
        job.result()
    for step in range(reported + 1, len(done) + 1):
        for callback in callbacks:
            callback.on_step(step)
    return len(done)


def _obtain(task: Task, samples: Samples, recipe: Recipe, seed: int, place: Path | None) -> Trained:
    """The shadow model that is kept at a place; trained, and kept there, where there is none."""
    # The record is written last: a model without one was cut off while it was saved.
    if place is not None and (place / RECORD).exists():
        return Trained.load(place, task)
    trained = fit(task, samples, recipe, seed=seed)
    if place is not None:
        trained.save(place)
    return trained


def _opened(folder: Path, task: Task, samples: Samples, recipe: Recipe, seed: int) -> Path:
    """The folder, once it is known to hold these shadow models and no others."""
    ours = {
        "task": task.signature(),
        "recipe": recipe.to_json(),
        "seed": seed,
        "samples": {"count": len(samples), "content": _digest(samples)},
    }
    place = folder / MADE_WITH
    problems = Problems(f"cannot keep shadow models in {folder}")
    if place.exists():
        theirs: dict[str, Any] = {}
        try:
            theirs = json.loads(place.read_text())
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            problems.require(False, f"{MADE_WITH} is damaged ({error})")
        # Read back, so that tuples compare as the lists that JSON makes of them.
        here = json.loads(json.dumps(ours))
        different = [name for name in here if theirs.get(name) != here[name]] if theirs else []
        problems.require(
            not different,
            "it holds shadow models of another "
            + " and another ".join(f"{n} ({_difference(n, theirs, here)})" for n in different)
            + "; give another folder",
        )
        problems.raise_any()
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(place, json.dumps(ours, indent=1).encode())
    return folder


def _difference(name: str, theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    there, here = theirs.get(name), ours[name]
    if not (isinstance(there, dict) and isinstance(here, dict)):
        return f"{there!r} there, {here!r} here"
    parts = [k for k in sorted({*there, *here}) if there.get(k) != here.get(k)]
    return ", ".join(f"{k}: {there.get(k)!r} there, {here.get(k)!r} here" for k in parts)


def _digest(samples: Samples) -> str:
    """A digest of the samples' ids, inputs and targets, in order."""
    state = hashlib.blake2b(json.dumps([samples.ids, samples.digests]).encode(), digest_size=16)
    targets = samples.targets.cpu().contiguous()
    state.update(f"{targets.dtype}{tuple(targets.shape)}".encode())
    state.update(targets.reshape(len(samples), -1).view(torch.uint8).numpy().tobytes() if targets.numel() else b"")
    return state.hexdigest()
