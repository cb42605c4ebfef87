"""Damage: what an unlearner left of a model, layer by layer, against the record of the model before."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unscathed.healing.traces import LayerDamage, Trace, finite, has_state_of_its_own, watching
from unscathed.problems import Problems, some
from unscathed.samples import Batch, Samples
from unscathed.task import Task
from unscathed.training import Trained, full_precision
from unscathed.training.seeds import generator

_HEADINGS = ("layer", "kind", "weights", "own", "cumulative", "norm drift", "died", "not finite")


@dataclass(frozen=True, kw_only=True)
class Damage:
    """What became of a model; prints as a table.

    Args:
        layers: every layer with parameters or statistics of its own, in the order in which the model lists them.
        score: the damaged model's mean score on the samples.
        record_score: the record's.
        commonest: the share of the damaged model's answers in its most frequent answer; None where nothing is one of
            some classes. The share of classes, when it knows as before; 1, collapsed.
        record_commonest: the record's.
        divergence: mean divergence of the answers from the record's (`Task.divergences`), nats; infinite where answers
            are not finite.
        samples: how many were looked at.
        threshold: beyond which ``own`` a layer counts as destroyed.
    """

    layers: tuple[LayerDamage, ...]
    score: float
    record_score: float
    commonest: float | None
    record_commonest: float | None
    divergence: float
    samples: int
    threshold: float

    @property
    def destroyed(self) -> tuple[str, ...]:
        """The names of the layers that were destroyed, by the threshold."""
        return tuple(layer.name for layer in self.layers if layer.destroyed(self.threshold))

    @property
    def worst(self) -> str:
        """The layer that changed most of its own."""
        return max(self.layers, key=lambda layer: (layer.broken > 0, layer.change)).name

    def __str__(self) -> str:
        rows = [_HEADINGS, *(self._row(layer) for layer in self.layers)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
        lines = [
            f"score {self.score:.3f} (record {self.record_score:.3f}), divergence {self.divergence:.3g} nats, "
            f"on {self.samples} samples"
        ]
        if self.commonest is not None:
            lines[0] += f"; most frequent answer {self.commonest:.1%} (record {self.record_commonest:.1%})"
        for row in rows:
            left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
            right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
            lines.append("  ".join([*left, *right]).rstrip())
        found = f"destroyed (own > {self.threshold:g}, or not finite): {', '.join(self.destroyed) or 'none'}"
        return "\n".join([*lines, found])

    def _row(self, layer: LayerDamage) -> tuple[str, ...]:
        numbers = (layer.weights, layer.own, layer.cumulative, layer.drift)
        died = "" if layer.died is None else f"{layer.died:.0%}"
        mark = " *" if layer.destroyed(self.threshold) else ""
        shown = ("" if number is None else f"{number:.3g}" for number in numbers)
        return (layer.name + mark, layer.kind, *shown, died, str(layer.broken or ""))


def diagnose(
    unlearned: Trained, record: Trained, samples: Samples, *, threshold: float = 1.0, most: int = 512, seed: int = 0
) -> Damage:
    """Compare a damaged model with the record of what it was: which layers were destroyed?

    Two forward passes of each model over some samples; nothing is changed, and nothing is learned from the samples.

    Args:
        unlearned: the damaged model.
        record: the model before the damage.
        samples: what both are run on: retained samples, twins or any others of their kind.
        threshold: beyond which ``own`` a layer counts as destroyed (`LayerDamage`).
        most: how many of the samples are looked at, at most.
        seed: which of them.

    Raises:
        BadInputError: there are no samples, they do not suit the task, or the two models are not built alike.
    """
    problems = Problems("cannot diagnose")
    if problems.require(len(samples) > 0, "there are no samples to run the models on; give some retained ones"):
        problems.extend(unlearned.task.problems_with(samples))
    problems.require(threshold > 0, f"threshold={threshold} must be positive")
    problems.require(most > 0, f"most={most} must be positive")
    problems.extend(built_unlike(unlearned, record))
    problems.raise_any()
    chosen = torch.randperm(len(samples), generator=generator(seed, "diagnose"))[:most]
    samples = samples.at(chosen)
    task, machine = unlearned.task, unlearned.machine
    whole, damaged = record.model(), unlearned.model()
    traces = {
        name: Trace(layer, damaged.get_submodule(name))
        for name, layer in whole.named_modules()
        if has_state_of_its_own(layer)
    }
    divergence = 0.0
    answers: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    for raw in samples.batches(max(64, unlearned.recipe.batch_size)):
        batch = machine.stage(task.prepare(machine.stage(raw)))
        with torch.no_grad():
            with machine.computing(), watching([trace.of_record() for trace in traces.values()]):
                before = full_precision(task.outputs(whole, batch))
            with machine.computing(), watching([trace.of_damaged() for trace in traces.values()]):
                after = full_precision(task.outputs(damaged, batch))
        divergence += float(task.divergences(before, after, batch).sum())
        if _names_classes(task, after, batch):
            for counter, said in zip(answers, (before, after), strict=True):
                counter.update(said.nan_to_num(nan=-math.inf).argmax(dim=1).tolist())
    record_commonest, commonest = (max(c.values()) / len(samples) if c else None for c in answers)
    return Damage(
        layers=tuple(trace.summary(name) for name, trace in traces.items()),
        score=unlearned.score(samples),
        record_score=record.score(samples),
        commonest=commonest,
        record_commonest=record_commonest,
        divergence=finite(divergence / len(samples)),
        samples=len(samples),
        threshold=threshold,
    )


def built_unlike(one: Trained, other: Trained) -> list[str]:
    """What keeps two models from being compared layer by layer, one sentence each."""
    shapes, others = ({name: w.shape for name, w in model.weights.items()} for model in (one, other))
    different = sorted(name for name in {*shapes, *others} if shapes.get(name) != others.get(name))
    if not different:
        return []
    return [
        f"the record is of another model: {len(different)} tensors differ in name or shape ({some(different)}); "
        "give this model as it was before"
    ]


def _names_classes(task: Task, outputs: Any, batch: Batch) -> bool:
    """Whether outputs are logits [n, classes]."""
    return isinstance(outputs, Tensor) and outputs.ndim == 2 and task.labels(batch.targets) is not None
