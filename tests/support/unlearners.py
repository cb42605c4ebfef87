"""Unlearners that must not pass an audit: the controls."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from unscathed import Callback, Samples, Trained, Unlearner
from unscathed.training import Event, state_of


@dataclass(frozen=True, kw_only=True)
class NoOp(Unlearner):
    """Says that it forgot, and did nothing."""

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        event = Event(kind="unlearned", by=repr(self), samples=len(forget), steps=0, seconds=0.0)
        return trained.with_parameters({}, event, forget)


@dataclass(frozen=True, kw_only=True)
class RandomWeights(Unlearner):
    """Forgets everything."""

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        event = Event(kind="unlearned", by=repr(self), samples=len(forget), steps=0, seconds=0.0)
        torch.manual_seed(seed + 1)
        return trained.with_parameters(state_of(trained.task.build()), event, forget)
