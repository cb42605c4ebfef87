"""Saving and loading a `Trained`: safetensors for weights, JSON for the record, no pickle.

Weight files are named by the digest of their content and written first; the record, which names them, is replaced
last and atomically. So a reader sees the old model or the new one, whole, and unchanged files are not rewritten.
Each shard of an ensemble has files of its own: unlearning from one leaves those of the others as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensors_to_bytes

from unscathed.ensemble import Aggregation, EnsembleTask
from unscathed.problems import BadInputError, Problems
from unscathed.task import Task
from unscathed.training.recipe import Recipe
from unscathed.training.trained import Event, State, Trained

FORMAT = 2
"""2: each shard's weights in a file of its own, and how shards are aggregated. 1, which is still read: all in one."""
RECORD = "record.json"


def save(trained: Trained, folder: Path) -> None:
    """Write a trained model to a folder (made if missing), atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {prefix: _write_state(state, folder) for prefix, state in _parts(trained).items()}
    checkpoints = {name: _write_state(state, folder) for name, state in trained.checkpoints.items()}
    record = {
        "format": FORMAT,
        "written_by": {"unscathed": version("unscathed"), "torch": torch.__version__},
        "task": trained.task.signature(),
        "recipe": trained.recipe.to_json(),
        "seed": trained.seed,
        "ids": trained.ids,
        "history": [asdict(e) for e in trained.history],
        "shards": trained.shards,
        "weights": weights,
        "checkpoints": checkpoints,
    }
    write_atomically(folder / RECORD, json.dumps(record, indent=1).encode())
    kept = {*weights.values(), *checkpoints.values()}
    for stale in folder.glob("*.safetensors"):
        if stale.name not in kept:
            stale.unlink(missing_ok=True)


def load(folder: Path, task: Task) -> Trained:
    """Read a trained model.

    Raises:
        BadInputError: it is missing, damaged, of another format or of another task; all that is wrong is named.
    """
    problems = Problems(f"cannot load a trained model from {folder}")
    record = _read_record(folder, problems)
    problems.raise_any()
    if record["shards"]:
        problems.require(
            record["task"]["aggregation"] != "vote" or task.can_vote,
            f"its shards vote, and {type(task).__name__} predicts no classes to vote on",
        )
        task = EnsembleTask(task, len(record["shards"]), record["task"]["aggregation"])
    ours = task.signature()
    theirs = record["task"]
    different = [k for k in sorted({*ours, *theirs}) if ours.get(k) != theirs.get(k)]
    problems.require(
        not different,
        "it is of another task: "
        + ", ".join(f"{k} is {theirs.get(k)!r} there and {ours.get(k)!r} here" for k in different),
    )
    states: dict[str, State] = {}
    for name in {*record["weights"].values(), *record["checkpoints"].values()}:
        state = _read_state(folder / name, problems)
        if state is not None:
            states[name] = state
    problems.raise_any()
    try:
        return Trained(
            task=task,
            weights={
                prefix + name: tensor
                for prefix, file in record["weights"].items()
                for name, tensor in states[file].items()
            },
            recipe=Recipe.from_json(record["recipe"]),
            seed=record["seed"],
            ids=tuple(record["ids"]),
            history=tuple(Event(**e) for e in record["history"]),
            shards=tuple(tuple(tuple(part) for part in shard) for shard in record["shards"]),
            checkpoints={name: states[file] for name, file in record["checkpoints"].items()},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(problems.what, [f"{RECORD} is damaged ({error})"]) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _parts(trained: Trained) -> dict[str, State]:
    """The weights by file: a single model's in one, each shard's in one of its own, under its names without prefix."""
    if not isinstance(trained.task, EnsembleTask):
        return {"": trained.weights}
    return {
        prefix: {name.removeprefix(prefix): w for name, w in trained.weights.items() if name.startswith(prefix)}
        for prefix in (f"members.{member}." for member in range(trained.task.members))
    }


def _write_state(state: State, folder: Path) -> str:
    content = tensors_to_bytes(state)
    path = folder / f"{_digest(content)}.safetensors"
    if not path.exists():
        write_atomically(path, content)
    return path.name


def _read_state(path: Path, problems: Problems) -> State | None:
    try:
        content = path.read_bytes()
    except OSError as error:
        problems.require(False, f"{path.name} cannot be read ({error.strerror})")
        return None
    if not problems.require(_digest(content) == path.stem, f"{path.name} is damaged: its content has another digest"):
        return None
    try:
        return read_tensors(content)
    except SafetensorError as error:
        problems.require(False, f"{path.name} is damaged ({error})")
        return None


def _read_record(folder: Path, problems: Problems) -> dict[str, Any]:
    if not problems.require(folder.is_dir(), "there is no such folder"):
        return {}
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text())
    except FileNotFoundError:
        problems.require(False, f"there is no {RECORD} in it; only what Trained.save wrote can be loaded")
        return {}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        problems.require(False, f"{RECORD} is damaged ({error})")
        return {}
    if not problems.require(
        isinstance(record, dict) and record.get("format") in (1, FORMAT),
        f"{RECORD} is not of format {FORMAT}; it was written by another program or version",
    ):
        return {}
    if record["format"] == 1:
        record = _of_format_1(record)
    missing = {"task", "recipe", "seed", "ids", "history", "shards", "weights", "checkpoints"} - set(record)
    if not problems.require(not missing, f"{RECORD} is damaged: it lacks {sorted(missing)}"):
        return {}
    if record["shards"]:
        how = record["task"].get("aggregation")
        problems.require(how in get_args(Aggregation), f"{RECORD} is damaged: shards cannot be aggregated by {how!r}")
    return record


def _of_format_1(record: dict[str, Any]) -> dict[str, Any]:
    """The record as it would be written today; then, shards had their mean taken and shared one file."""
    now = dict(record)
    if "files" in now:
        now["weights"] = {"": now.pop("files")["weights"]}
    if now.get("shards") and "task" in now:
        now["task"] = {**now["task"], "aggregation": "mean"}
    return now


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
