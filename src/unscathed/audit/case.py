"""Case: what an audit knows about a request, besides the model that came of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from unscathed.audit.tolerance import Tolerance
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training import Trained

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """What an audit knows about a request, besides the model that came of it. All measures look at the same case.

    Args:
        task: what the model is for.
        forgotten: the samples that it should have forgotten.
        unseen: samples of the same data that no model here was trained on; none where there are none at hand.
        test: held-out samples for utility.
        retain: the training samples that stay.
        gold: the model retrained without the forgotten.
        peer: what forgetting is compared with: gold, or what the model's own way of training gives without the
            forgotten (SISA's shards, say); None where there is neither.
        original: the model before unlearning.
        tolerance: what passes.
    """

    task: Task
    forgotten: Samples
    unseen: Samples
    test: Samples | None = None
    retain: Samples | None = None
    gold: Trained | None = None
    peer: Trained | None = None
    original: Trained | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)

    @property
    def whole(self) -> Trained | None:
        """What utility is compared with: gold, or without it the original."""
        return self.gold if self.gold is not None else self.original

    @cached_property
    def tolerated(self) -> Tolerance:
        """What passes, in the units of the task's own scores."""
        return self.tolerance.of(self.task)

    def once(self, key: Hashable, work: Callable[[], T]) -> T:
        """What ``work`` gives, done the first time that it is asked for: the reference's part serves all models.

        Args:
            key: what it is; start it with the measure, which is hashable.
            work: does it.
        """
        if key not in self._done:
            self._done[key] = work()
        found: T = self._done[key]
        return found

    @cached_property
    def _done(self) -> dict[Hashable, Any]:
        return {}
