"""An ensemble of one task's models, itself a task: whatever takes a model takes SISA's shards as well."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from unscathed.samples import Batch, Samples
from unscathed.task import FeatureSource, Task

Aggregation = Literal["mean", "vote"]
"""How one output is made of several: by `Task.aggregate` (of classes, the mean probability) or by `Task.vote`."""


class Ensemble(nn.Module):
    """Several models side by side, run through `EnsembleTask.outputs`."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, inputs: Tensor) -> Tensor:
        """The mean of the members' raw outputs; `EnsembleTask.outputs` aggregates as the task says."""
        return torch.stack([member(inputs) for member in self.members]).mean(dim=0)


class EnsembleTask(Task):
    """The task of an ensemble: outputs are the members', aggregated; all else is as for one member.

    Args:
        task: what each member does.
        members: how many there are.
        aggregation: ``"mean"`` or, for tasks that predict classes, ``"vote"``.
    """

    def __init__(self, task: Task, members: int, aggregation: Aggregation = "mean") -> None:
        super().__init__(features=task.feature_source)
        self.task = task
        self.members = members
        self.aggregation = aggregation
        self.scores_are_shares = task.scores_are_shares  # type: ignore[misc]
        self.score_range = task.score_range

    def build(self) -> nn.Module:
        """An ensemble of new models."""
        return Ensemble([self.task.build() for _ in range(self.members)])

    def outputs(self, model: nn.Module, batch: Batch) -> Any:
        """The members' outputs, aggregated (`Task.aggregate`, `Task.vote`)."""
        outputs = [self.task.outputs(m, batch) for m in _members(model)]
        return self.task.vote(outputs) if self.aggregation == "vote" else self.task.aggregate(outputs)

    def with_features(self, source: FeatureSource) -> EnsembleTask:
        """This task, with its members' features found elsewhere."""
        other = copy.copy(self)
        other.task = self.task.with_features(source)
        return other

    def features(self, model: nn.Module, batch: Batch) -> Tensor:
        """The members' features, side by side, [n, members · d]."""
        return torch.cat([self.task.features(m, batch) for m in _members(model)], dim=1)

    def losses(self, outputs: Any, batch: Batch) -> Tensor:
        """As for one member."""
        return self.task.losses(outputs, batch)

    def scores(self, outputs: Any, batch: Batch) -> Tensor:
        """As for one member."""
        return self.task.scores(outputs, batch)

    def margins(self, outputs: Any, batch: Batch) -> Tensor:
        """As for one member."""
        return self.task.margins(outputs, batch)

    def divergences(self, reference: Any, outputs: Any, batch: Batch) -> Tensor:
        """As for one member."""
        return self.task.divergences(reference, outputs, batch)

    def answers(self, outputs: Any, batch: Batch) -> list[tuple[Tensor, Tensor]] | None:
        """As for one member."""
        return self.task.answers(outputs, batch)

    def aggregate(self, outputs: Sequence[Any]) -> Any:
        """As for one member."""
        return self.task.aggregate(outputs)

    def vote(self, outputs: Sequence[Any]) -> Any:
        """As for one member."""
        return self.task.vote(outputs)

    @property
    def can_vote(self) -> bool:
        """As for one member."""
        return self.task.can_vote

    def quality(self, model: nn.Module, samples: Samples, seed: int) -> dict[str, float]:
        """The mean of the members' measures."""
        found = [self.task.quality(m, samples, seed) for m in _members(model)]
        return {name: sum(each[name] for each in found) / len(found) for name in found[0]}

    def labels(self, targets: Tensor) -> Tensor | None:
        """As for one member."""
        return self.task.labels(targets)

    def prepare(self, batch: Batch) -> Batch:
        """As for one member."""
        return self.task.prepare(batch)

    def problems_with(self, samples: Samples) -> list[str]:
        """As for one member."""
        return self.task.problems_with(samples)

    def signature(self) -> dict[str, Any]:
        """The member's signature, how many there are, and how they are aggregated."""
        return {**self.task.signature(), "members": self.members, "aggregation": self.aggregation}


def _members(model: nn.Module) -> Sequence[nn.Module]:
    assert isinstance(model, Ensemble)
    return list(model.members)
