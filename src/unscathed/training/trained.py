"""Trained: weights, and the record of how they came to be. Every step of the house takes one and returns a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from unscathed.problems import Problems
from unscathed.samples import Batch, Samples
from unscathed.task import Task
from unscathed.training.machine import Machine, full_precision, keeping_memory
from unscathed.training.recipe import Recipe

State = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that was done to a model.

    Args:
        kind: ``"fitted"``, ``"unlearned"`` or ``"healed"``.
        by: the object that did it, as its constructor call.
        samples: how many samples it was done with (fitted or healed on, or forgotten).
        steps: its cost in gradient steps: batches of the recipe's size that went forward and backward.
        seconds: its wall time.
        details: what else is worth keeping (calibrated strengths, what was refused), as plain JSON.
    """

    kind: str
    by: str
    samples: int
    steps: int
    seconds: float
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """What a model makes of some samples, one value a sample, each float32 [n] on the CPU (see `Task`)."""

    losses: Tensor
    scores: Tensor
    margins: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A trained model: weights, and the record of how they came to be.

    Args:
        task: what it is for.
        weights: its state dict, on the CPU.
        recipe: how it was trained.
        seed: from which.
        ids: the samples that are in it.
        history: what was done to it, oldest first.
        shards: SISA's layout, ids by shard and slice; empty for a single model.
        checkpoints: earlier states that unlearning can go back to, by name.
    """

    task: Task
    weights: State
    recipe: Recipe
    seed: int
    ids: tuple[str, ...]
    history: tuple[Event, ...] = ()
    shards: tuple[tuple[tuple[str, ...], ...], ...] = ()
    checkpoints: Mapping[str, State] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        # Built modules and remembered evaluations stay behind: whoever receives this makes their own.
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __repr__(self) -> str:
        did = " → ".join(f"{e.kind} by {e.by}" if e.kind != "fitted" else e.kind for e in self.history)
        return f"Trained({type(self.task).__name__}, {len(self.ids)} samples, {did or 'no history'})"

    @cached_property
    def machine(self) -> Machine:
        """Where and how this model runs."""
        return Machine.choose(self.recipe, self._built)

    def model(self) -> nn.Module:
        """A new module with these weights, in evaluation mode, on its device; change it as you like."""
        with torch.random.fork_rng(devices=[]):
            model = self.task.build()
        model.load_state_dict(self.weights)
        return self.machine.place(model).eval()

    def after(self, model: nn.Module, event: Event, **changes: Any) -> Trained:
        """This model with new weights, taken from ``model``, and one event more."""
        return replace(self, weights=state_of(model), history=(*self.history, event), **changes)

    def with_parameters(self, parameters: Mapping[str, Tensor], event: Event, forgotten: Iterable[str]) -> Trained:
        """This model with other values of its parameters (by name), one event more, and without some ids."""
        model = self.model()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in parameters:
                    parameter.copy_(parameters[name])
        return self.after(model, event, ids=self._ids_without(forgotten))

    def became(self, other: Trained, event: Event, forgotten: Iterable[str]) -> Trained:
        """This model with another's weights, one event more (in place of the other's), and without some ids."""
        history = (*self.history, event)
        return replace(self, weights=other.weights, history=history, ids=self._ids_without(forgotten))

    def _ids_without(self, forgotten: Iterable[str]) -> tuple[str, ...]:
        gone = set(forgotten)
        return tuple(i for i in self.ids if i not in gone)

    # What it makes of samples.

    def evaluate(self, samples: Samples) -> Evaluation:
        """Losses, scores and margins of the samples, in one pass; asked again for the same object, none."""
        if samples in self._evaluations:
            return self._evaluations[samples]

        def measures(outputs: Any, batch: Batch) -> Tensor:
            return torch.stack(
                [self.task.losses(outputs, batch), self.task.scores(outputs, batch), self.task.margins(outputs, batch)],
                dim=1,
            )

        found = Evaluation(*self._gather(samples, measures).float().unbind(dim=1))
        self._evaluations[samples] = found
        return found

    def score(self, samples: Samples) -> float:
        """The mean score of the samples (accuracy in 0…1, for classification)."""
        return float(self.evaluate(samples).scores.mean())

    def quality(self, samples: Samples, *, seed: int = 0) -> dict[str, float]:
        """Measures of the whole model against real samples, by name (`Task.quality`); many tasks have none."""
        return self.task.quality(self._model, samples, seed)

    def outputs(self, samples: Samples) -> Tensor:
        """The model's outputs for the samples, [n, ...]."""
        return self._gather(samples, lambda outputs, _: outputs)

    def features(self, samples: Samples) -> Tensor:
        """The model's features of the samples, [n, d]."""
        model = self._model
        with torch.no_grad(), keeping_memory(), self.machine.computing():
            return torch.cat([full_precision(self.task.features(model, b)).cpu() for b in self._prepared(samples)])

    def save(self, folder: str | Path) -> None:
        """Write weights (safetensors), checkpoints and record (JSON) to a folder, atomically."""
        from unscathed.training.checkpoint import save

        save(self, Path(folder))

    @staticmethod
    def load(folder: str | Path, task: Task) -> Trained:
        """Read what `save` wrote; raises `BadInputError` where it is missing, damaged or of another task."""
        from unscathed.training.checkpoint import load

        return load(Path(folder), task)

    # For internal use: one module kept for evaluation, never handed out.

    @cached_property
    def _evaluations(self) -> WeakKeyDictionary[Samples, Evaluation]:
        # Neither this model nor samples ever change, and an audit compares many models with one gold.
        return WeakKeyDictionary()

    @cached_property
    def _built(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            return self.task.build()

    @cached_property
    def _model(self) -> nn.Module:
        return self.model()

    def _prepared(self, samples: Samples) -> Iterator[Batch]:
        # Evaluation keeps no activations, so twice the training batch fits where training did.
        for batch in samples.batches(max(256, 2 * self.recipe.batch_size)):
            yield self.machine.stage(self.task.prepare(self.machine.stage(batch)))

    def _gather(self, samples: Samples, measure: Callable[[Any, Batch], Tensor]) -> Tensor:
        problems = Problems("cannot evaluate")
        problems.require(len(samples) > 0, "there are no samples")
        problems.raise_any()
        parts = []
        with torch.no_grad(), keeping_memory():
            for batch in self._prepared(samples):
                with self.machine.computing():
                    outputs = self.task.outputs(self._model, batch)
                parts.append(measure(full_precision(outputs), batch).cpu())
        return torch.cat(parts)


def state_of(model: nn.Module) -> State:
    """A copy of a module's state on the CPU, in the default memory layout."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in model.state_dict().items()}
