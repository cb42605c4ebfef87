"""Rungs: ways of healing, each with its price in gradient steps."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from unscathed.ensemble import EnsembleTask
from unscathed.healing.case import Case, stage_recipe, stage_steps
from unscathed.healing.damage import diagnose
from unscathed.healing.healer import Healer
from unscathed.healing.repair import (
    RECALIBRATED_ON,
    broken_layers,
    has_running_statistics,
    recalibrate,
    reset_layers,
)
from unscathed.problems import Problems
from unscathed.training import Callback, Event, Trained, tune
from unscathed.training.seeds import derive
from unscathed.unlearners.layouts import flat
from unscathed.unlearners.sisa import Sisa, join_members, member_of
from unscathed.unlearners.warm_start import not_a_model, problems_with_start, short_recipe, train_from


class Rung(ABC):
    """One way of healing. What it makes has one event or more in its history that the unlearned model has not."""

    clean: ClassVar[bool] = False
    """Whether it starts from where nothing was learned from the forgotten."""

    @property
    def brings(self) -> tuple[str, ...]:
        """The ids of samples that it puts into the model though nobody gave them: a warm start's."""
        return ()

    def missing(self, case: Case) -> str | None:
        """Why it cannot be tried, in words; None if it can."""
        return None

    @abstractmethod
    def steps(self, case: Case) -> int:
        """Its price, in gradient steps."""

    @abstractmethod
    def climb(self, case: Case, healer: Healer, callbacks: Sequence[Callback]) -> Trained:
        """The model that it makes."""


@dataclass(frozen=True, kw_only=True)
class Heal(Rung):
    """Fine-tune what was reached so far.

    Args:
        share: of gold's steps.
        learning_rate: its peak, as a share of the recipe's. By default the healer's, which mends a model that is mostly
            whole; from collapse it does not lead back in a few steps, and so is not tried there.
    """

    share: float
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "share", "learning_rate")

    def missing(self, case: Case) -> str | None:
        """What could be mended gently."""
        if self.learning_rate is None and case.collapsed:
            return "the model has collapsed, from where a few steps at the healer's rate do not lead back"
        return None

    def steps(self, case: Case) -> int:
        """A share of gold's."""
        return _share_of_gold(self.share, case)

    def climb(self, case: Case, healer: Healer, callbacks: Sequence[Callback]) -> Trained:
        """Heal."""
        return _healed(case.reached, case, healer, self.steps(case), self.learning_rate, callbacks)


@dataclass(frozen=True, kw_only=True)
class Repair(Rung):
    """Reset the layers that were destroyed, then fine-tune all at the rate that training from scratch has.

    Layers are told to be destroyed by comparison with the model before (`diagnose`), or, where that is not kept, by
    values that are not finite. Of a model that collapsed though none of them is beyond the threshold, it is the one
    that changed most. Nothing is taken from the model before: its layers would bring memory back
    (`graft_layers`), whereas a fresh one has none, and what ascent only hid in it cannot be uncovered by healing.

    Args:
        share: of gold's steps, for the fine-tuning.
        learning_rate: its peak, as a share of the recipe's.
        threshold: beyond which change of its own a layer is destroyed (`LayerDamage`); infinite for values that are not
            finite alone.
        recalibrated: whether running statistics are estimated anew first (not of a model in shards). Measured on MNIST,
            from collapse, that gains nothing: fine-tuning moves them anyway.
    """

    share: float
    learning_rate: float = 1.0
    threshold: float = 1.0
    recalibrated: bool = False

    def __post_init__(self) -> None:
        _check_positive(self, "share", "learning_rate")
        problems = Problems("cannot use Repair")
        problems.require(self.threshold > 0, f"threshold={self.threshold} must be positive")
        problems.raise_any()

    def steps(self, case: Case) -> int:
        """Healing's, and a third of a step for each batch that statistics are taken of."""
        looked_at = min(len(case.samples), RECALIBRATED_ON) if self._recalibrates(case) else 0
        return _share_of_gold(self.share, case) + math.ceil(looked_at / case.reached.recipe.batch_size / 3)

    def climb(self, case: Case, healer: Healer, callbacks: Sequence[Callback]) -> Trained:
        """Reset, recalibrate, heal."""
        model = case.reached
        names: Sequence[str] = broken_layers(model)
        if case.before is not None:
            damage = diagnose(model, case.before, case.samples, threshold=self.threshold, seed=case.seed)
            names = damage.destroyed or ((damage.worst,) if case.collapsed else ())
        if names:
            model = reset_layers(model, names, seed=case.seed)
        if self._recalibrates(case):
            model = recalibrate(model, retain=case.retain, twins=case.twins, seed=case.seed)
        return _healed(model, case, healer, _share_of_gold(self.share, case), self.learning_rate, callbacks)

    def _recalibrates(self, case: Case) -> bool:
        return self.recalibrated and not case.reached.shards and has_running_statistics(case.reached)


@dataclass(frozen=True, kw_only=True)
class Resume(Rung):
    """Of a model in shards: go back, in each, to the checkpoint before its last slice, and train that slice again.

    Checkpoints never saw the forgotten, so what results is what `Sisa` would have made with the twins in last slices.
    """

    clean = True

    def missing(self, case: Case) -> str | None:
        """Shards, checkpoints or retained samples."""
        if not case.unlearned.shards:
            return "the model is not in shards, and has no checkpoints to go back to"
        if len(case.unlearned.shards[0]) == 1:
            return "the model's shards have one slice each, and no checkpoints to go back to"
        if case.retain is None:
            return "retained samples are not at hand"
        lost = [name for name in _last_checkpoints(case) if name not in case.unlearned.checkpoints]
        return f"the model lacks the checkpoints {lost}" if lost else None

    def steps(self, case: Case) -> int:
        """The last stage of every shard."""
        last = len(case.unlearned.shards[0]) - 1
        return sum(stage_steps(case, range(last, last + 1)))

    def climb(self, case: Case, healer: Healer, callbacks: Sequence[Callback]) -> Trained:
        """Train each shard's last stage."""
        trained, layout = case.unlearned, case.layout
        last = len(layout[0]) - 1
        members = {}
        for shard, checkpoint in enumerate(_last_checkpoints(case)):
            start = replace(member_of(trained, shard), weights=trained.checkpoints[checkpoint], ids=(), history=())
            members[shard] = tune(
                start,
                case.samples.only(flat(layout[shard : shard + 1])),
                stage_recipe(case),
                seed=derive(start.seed, "slice", last),
                kind="healed",
                by=repr(self),
                callbacks=callbacks,
                what=f"resuming shard {shard + 1}/{len(layout)}",
            )
        steps = sum(member.history[-1].steps for member in members.values())
        event = Event(kind="healed", by=repr(self), samples=len(case.samples), steps=steps, seconds=0.0)
        return replace(join_members(trained, members, event), shards=layout, ids=flat(layout))


@dataclass(frozen=True, kw_only=True)
class StartOver(Rung):
    """Train anew on the retained samples and the twins, with the recipe and seed of the original (in its shards).

    The model then holds these samples and no others.

    Args:
        share: of gold's steps, 0 < share ≤ 1; below 1 the whole schedule is squeezed into them (`ShortRetraining`).
        start: a warm start that saw none of the forgotten (`ShortRetraining`), to go on from in place of fresh weights;
            what it was trained on is in the model from then on.
    """

    clean = True

    share: float = 1.0
    start: Trained | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        problems = Problems("cannot use StartOver")
        problems.require(0 < self.share <= 1, f"share={self.share} must lie in 0 < share ≤ 1")
        problems.extend(not_a_model(self.start))
        problems.raise_any()

    @property
    def brings(self) -> tuple[str, ...]:
        """What the warm start was trained on."""
        return () if self.start is None else self.start.ids

    def missing(self, case: Case) -> str | None:
        """Retained samples, or some of them (what was trained without the rest would be worse); or whole trainings."""
        if case.retain is None:
            return "retained samples are not at hand"
        if (self.share < 1 or self.start is not None) and case.unlearned.shards:
            return "models in shards are trained from scratch, for all of their steps"
        # What was forgotten is what the model before had and this one has not.
        forgotten = () if case.before is None else sorted(set(case.before.ids) - set(case.unlearned.ids))
        return "; ".join(problems_with_start(self.start, case.unlearned, forgotten)) or None

    def steps(self, case: Case) -> int:
        """Gold's, or a share of them."""
        return case.gold_steps if self.share == 1 else _share_of_gold(self.share, case)

    def climb(self, case: Case, healer: Healer, callbacks: Sequence[Callback]) -> Trained:
        """Fit."""
        trained = case.unlearned
        if isinstance(trained.task, EnsembleTask):
            sisa = Sisa(
                shards=trained.task.members, slices=len(trained.shards[0]), aggregation=trained.task.aggregation
            )
            made = sisa.fit(
                trained.task.task,
                case.samples,
                trained.recipe,
                seed=trained.seed,
                layout=case.layout,
                callbacks=callbacks,
            )
        else:
            recipe = trained.recipe
            if self.share < 1 or self.start is not None:
                recipe = short_recipe(recipe, self.steps(case), self.start)
            made = train_from(
                self.start,
                trained,
                case.samples,
                recipe,
                seed=trained.seed,
                callbacks=callbacks,
                what="starting over",
            )
        fitted = made.history[-1]
        known = len(self.start.ids) if self.start is not None else 0
        details = {**fitted.details, "started_over": True, "warm_start": known}
        event = replace(fitted, kind="healed", by=repr(self), details=details)
        return replace(made, recipe=trained.recipe, history=(*trained.history, event))


def _share_of_gold(share: float, case: Case) -> int:
    """Gradient steps; shards take equal parts, and none takes less than a step."""
    parts = max(1, len(case.unlearned.shards))
    return parts * max(1, round(share * case.gold_steps / parts))


def _healed(
    model: Trained,
    case: Case,
    healer: Healer,
    steps: int,
    learning_rate: float | None,
    callbacks: Sequence[Callback],
) -> Trained:
    rate = healer.learning_rate if learning_rate is None else learning_rate
    lasting = replace(healer, steps=steps, learning_rate=rate)
    # Some healers ask the model before unlearning.
    asked: dict[str, Any] = {"before": case.before} if getattr(healer, "needs_before", False) else {}
    return lasting.heal(model, retain=case.retain, twins=case.twins, seed=case.seed, callbacks=callbacks, **asked)


def _last_checkpoints(case: Case) -> list[str]:
    shards = case.unlearned.shards
    return [f"shard-{shard}/slice-{len(slices) - 2}" for shard, slices in enumerate(shards)]


def _check_positive(rung: Rung, *names: str) -> None:
    problems = Problems(f"cannot use {type(rung).__name__}")
    for name in names:
        value = getattr(rung, name)
        problems.require(value is None or (math.isfinite(value) and value > 0), f"{name}={value} must be positive")
    problems.raise_any()
