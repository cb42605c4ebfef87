"""Models: those that the library saved, with their record, and those that something else trained, without one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors

from unscathed.problems import BadInputError, Problems, some
from unscathed.task import Task
from unscathed.training import Recipe, State, Trained, state_of

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
CONVERT = (
    "safetensors.torch.save_file({k: v.contiguous() for k, v in torch.load(FILE, weights_only=True).items()}, "
    "'model.safetensors')"
)


@dataclass(frozen=True)
class Named:
    """A model as it was named.

    Args:
        name: how it is spoken of: ``MODEL``, ``--gold``, ``--original``.
        path: of it.
        form: ``"record"``: a folder that `Trained.save` wrote; ``"weights"``: a bare state dict.
    """

    name: str
    path: Path
    form: Literal["record", "weights"]

    def read(self, task: Task, problems: Problems) -> Trained | State | None:
        """The trained model, or the bare weights; None where it cannot be read."""
        try:
            return Trained.load(self.path, task) if self.form == "record" else read_weights(self.path, task)
        except BadInputError as error:
            problems.extend(f"{self.name}: {problem}" for problem in error.problems)
            return None


def named(name: str, path: Path, problems: Problems) -> Named | None:
    """A model, once it is known to be of a form that can be read."""
    if path.is_dir():
        return Named(name, path, "record")
    if not problems.require(path.exists(), f"{name}: there is no {path}"):
        return None
    if path.suffix.lower() in PICKLES:
        problems.require(
            False,
            f"{name}: {path.name} is a pickle, which can run code when it is read, and is never loaded here; where you "
            f"trust it, convert it: {CONVERT}",
        )
        return None
    known = problems.require(
        path.suffix == ".safetensors",
        f"{name}: {path} is neither a folder that Trained.save wrote nor a .safetensors file",
    )
    return Named(name, path, "weights") if known else None


def read_weights(path: Path, task: Task) -> State:
    """A bare state dict that fits a task's model.

    Raises:
        BadInputError: it cannot be read, or weights are missing, unknown, of other shapes or not finite.
    """
    problems = Problems(f"cannot load weights from {path}")
    try:
        state: State = read_tensors(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise BadInputError(problems.what, [f"{path.name} cannot be read ({error})"]) from error
    with torch.random.fork_rng(devices=[]):
        wanted = state_of(task.build())
    missing, unknown = [n for n in wanted if n not in state], [n for n in state if n not in wanted]
    if missing and unknown:
        problems.require(
            False,
            f"its weights have other names than the task's model: {some(unknown, 3)} where there should be "
            f"{some(missing, 3)}{_prefix(state, wanted)}",
        )
    else:
        problems.require(not missing, f"it lacks {some(missing, 3)}, which the task's model has")
        problems.require(not unknown, f"it has {some(unknown, 3)}, which the task's model has not")
    shapes = [
        f"{name} is {list(state[name].shape)} there and {list(tensor.shape)} in the task's model"
        for name, tensor in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    problems.extend(shapes[:3])
    broken = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    problems.require(not broken, f"{some(broken, 3)} hold NaN or infinite values")
    problems.raise_any()
    return {name: state[name].to(tensor.dtype) for name, tensor in wanted.items()}


def bare(task: Task, weights: State, recipe: Recipe, ids: tuple[str, ...]) -> Trained:
    """A model without a record: what it was trained on, and how, is somebody's word."""
    return Trained(task=task, weights=weights, recipe=recipe, seed=0, ids=ids)


def weights_digest(weights: State) -> str:
    """A digest of a state dict, whatever file it came from: names, types, shapes and bytes, in the names' order."""
    content = hashlib.blake2b(digest_size=32)
    for name in sorted(weights):
        tensor = weights[name].contiguous()
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        content.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return content.hexdigest()


def forget_digest(ids: tuple[str, ...]) -> str:
    """A digest of a set of ids, in no order: whoever holds the list can show that it is this one."""
    listed = "".join(f"{len(i)}:{i}" for i in sorted(ids))
    return hashlib.blake2b(listed.encode(), digest_size=32).hexdigest()


def _prefix(state: State, wanted: State) -> str:
    """A hint where all names would fit but for what stands before them."""
    for prefix in {name.split(".")[0] + "." for name in state}:
        if {name.removeprefix(prefix) for name in state} == set(wanted):
            return f"; save the module inside {prefix[:-1]!r}"
    return ""
