"""Unlearner: takes a trained model and what must be forgotten, returns a new model."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch

from unscathed.problems import Problems, some
from unscathed.samples import Samples, as_ids
from unscathed.task import Task
from unscathed.training import Callback, Recipe, Trained, fit
from unscathed.unlearners.budget import LITTLE, SPENT, WHAT_TO_DO, BudgetSpentError, left_of


class Unlearner(ABC):
    """A way of making a trained model forget. Subclasses say what they need and do the work in `_unlearn`."""

    needs_retained: ClassVar[bool] = True
    """Whether samples that stay must be at hand."""
    exact: ClassVar[bool] = False
    """Whether the result is, to the bit, what training without the forgotten would have given; then nothing is drawn
    at random that training did not draw."""
    needs_checkpoints: ClassVar[bool] = False
    """Whether the model must have been trained in shards, with checkpoints (`Sisa.fit`)."""
    trains_original: ClassVar[bool] = False
    """Whether the model must have been trained by this method's own `fit`, which then is its way of retraining too."""

    @property
    def brings(self) -> tuple[str, ...]:
        """The ids of samples that are in the result though the request has nothing to do with them: a warm start's."""
        return ()

    @property
    def drift_budget(self) -> float | None:
        """What all requests since the model was last fitted or healed may cost together, nats; None for no bound."""
        return None

    def left(self, trained: Trained) -> float | None:
        """What is left of `drift_budget` for the next request, nats."""
        budget = self.drift_budget
        return None if budget is None else left_of(budget, trained)

    def fit(
        self,
        task: Task,
        samples: Samples,
        recipe: Recipe | None = None,
        *,
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
    ) -> Trained:
        """Train a model that this method can unlearn from: by `unscathed.fit`, where it needs nothing of its own."""
        return fit(task, samples, recipe, seed=seed, callbacks=callbacks)

    def unlearn(
        self,
        trained: Trained,
        samples: Samples,
        forget: Iterable[str | int],
        *,
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Trained:
        """Forget some samples; returns a new model without their ids, and this as an event of its history.

        Args:
            trained: the model; it is not changed.
            samples: what it was trained on, those to forget among them; others in it (forgotten earlier, say) play no
                part.
            forget: the ids to forget.
            seed: of what the method draws at random; by default the model's own.
            callbacks: progress.

        Raises:
            BadInputError: ids are unknown, repeated or not in the model, there are none, or something that this
                method needs is missing; all of it is named at once.
            BudgetSpentError: earlier requests have used up `drift_budget`: the model must be healed first.
        """
        wanted = as_ids(forget)
        self.check(trained, samples, wanted)
        samples = _only_trained_on(trained, samples)
        return self._unlearn(trained, samples, wanted, trained.seed if seed is None else seed, callbacks)

    def check(self, trained: Trained, samples: Samples, forget: Sequence[str]) -> None:
        """Raise `BadInputError` unless `unlearn` could start; warn of what it would do that may not be meant."""
        problems = Problems(f"cannot unlearn with {type(self).__name__}")
        own = _only_trained_on(trained, samples)
        problems.require(len(forget) > 0, "the forget set is empty; name at least one id")
        problems.extend(samples.problems_with(forget))
        inside = set(trained.ids)
        never = [i for i in forget if i not in inside]
        problems.require(
            not never, f"{len(never)} ids are not in the model ({some(never)}); there is nothing to forget"
        )
        if self.needs_retained and not problems.found:
            problems.require(len(forget) < len(own), "no samples would be retained, and this method needs some")
        if self.needs_checkpoints:
            problems.require(
                bool(trained.shards),
                f"the model was not trained in shards; train it with {type(self).__name__}(…).fit(…)",
            )
        else:
            problems.require(
                not trained.shards, "the model was trained in shards; use the Sisa that trained it, which is exact"
            )
        problems.extend(self.problems_with(trained, own, forget))
        spent = self._spent(trained)
        if spent:
            raise BudgetSpentError(problems.what, [*problems.found, spent])
        problems.raise_any()
        self._warn_of_lost_classes(trained, own, forget)

    def problems_with(self, trained: Trained, samples: Samples, forget: Sequence[str]) -> list[str]:
        """What else this method misses in the model or the samples, one sentence each; by default nothing.

        It is asked beside the checks that all methods share, so ids may still be unknown; samples that are not in the
        model are left out, as they are for `_unlearn`.
        """
        return []

    @abstractmethod
    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        """The work; everything has been checked."""

    def _spent(self, trained: Trained) -> str | None:
        """Why the budget does not allow another request, if it does not; a warning where it allows little."""
        budget, left = self.drift_budget, self.left(trained)
        if budget is None or left is None or left >= LITTLE * budget:
            return None
        told = f"requests since the last healing have left {left:.2g} of kl_budget={budget} nats"
        if left <= SPENT * budget:
            return f"{told}, with which nothing would be forgotten; {WHAT_TO_DO}"
        warnings.warn(f"{told}: this one can move the model little; {WHAT_TO_DO}", stacklevel=4)
        return None

    @staticmethod
    def _warn_of_lost_classes(trained: Trained, samples: Samples, forget: Sequence[str]) -> None:
        before = trained.task.labels(samples.targets)
        if before is None or len(forget) == len(samples):
            return
        after = trained.task.labels(samples.without(forget).targets)
        assert after is not None
        lost = sorted(set(torch.unique(before).tolist()) - set(torch.unique(after).tolist()))
        if lost:
            names = [samples.classes[c] if samples.classes else str(c) for c in lost]
            warnings.warn(
                f"forgetting every sample of class {', '.join(names)}: the retained samples do not show it any more",
                stacklevel=4,
            )


def _only_trained_on(trained: Trained, samples: Samples) -> Samples:
    """The samples that are in the model: a method that trained on others would teach what was forgotten before."""
    inside = set(trained.ids)
    foreign = [i for i in samples.ids if i not in inside]
    return samples.without(foreign) if foreign else samples
