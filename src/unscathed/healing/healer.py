"""Healing: a short fine-tuning that makes an unlearned model whole again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from unscathed.ensemble import EnsembleTask
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Callback, Event, Trained, tune
from unscathed.training.seeds import derive
from unscathed.unlearners.sisa import join_members, member_of

Strategy = Literal["retain+twins", "twins", "retain"]


@dataclass(frozen=True, kw_only=True)
class Healer:
    """Fine-tune an unlearned model on retained samples, on twins from the reserve, or on both.

    Args:
        strategy: ``"retain+twins"`` (the paper's), ``"twins"`` (needs no training data), or ``"retain"`` (the
            control that tells whether the twins did anything).
        epochs: passes over the samples healed on; give this or ``steps``. By default as many steps as make a tenth of
            the original's training, but no more than N/2 passes (N: the original's epochs; the paper's longest), so
            that a few twins are not gone over hundreds of times.
        steps: gradient steps.
        learning_rate: its peak, as a share of the original recipe's.

    Source: Jasiorski et al. 2025, "How to Protect Models against Adversarial Unlearning?" (arXiv 2507.10886).
    """

    strategy: Strategy = "retain+twins"
    epochs: float | None = None
    steps: int | None = None
    learning_rate: float = 0.2

    def __post_init__(self) -> None:
        problems = Problems("cannot use this healer")
        allowed = get_args(Strategy)
        problems.require(
            self.strategy in allowed, f"strategy={self.strategy!r} must be one of {', '.join(map(repr, allowed))}"
        )
        problems.require(self.epochs is None or self.steps is None, "epochs and steps are both given; give one")
        for name in ("epochs", "steps", "learning_rate"):
            value = getattr(self, name)
            problems.require(value is None or value > 0, f"{name}={value} must be positive")
        problems.raise_any()

    @property
    def uses_twins(self) -> bool:
        """Whether this strategy trains on twins."""
        return self.strategy != "retain"

    @property
    def uses_retain(self) -> bool:
        """Whether this strategy trains on retained samples."""
        return self.strategy != "twins"

    def heal(
        self,
        unlearned: Trained,
        *,
        retain: Samples | None = None,
        twins: Samples | None = None,
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Trained:
        """Heal a model; returns a new one, in which the twins (if used) are training samples like any other.

        A model in shards is healed shard by shard, each on its own samples only, so that later requests stay exact.

        Args:
            unlearned: the model; it is not changed.
            retain: the samples that stay; None where they are no longer at hand.
            twins: the spares that stand in for what was forgotten; None or none where the reserve is spent. They may be
                training data already, where spent ones are used again.
            seed: of batch order, augmentation and dropout; by default the model's own.
            callbacks: progress.

        Raises:
            BadInputError: what the strategy trains on is missing, or is not the model's.
        """
        started = time.perf_counter()
        twins = twins if self.uses_twins and twins is not None and len(twins) else None
        retain = retain if self.uses_retain else None
        if retain is not None and twins is not None:
            # Spares that were spent before are retained samples by now; each is trained on once.
            retain = retain.without(set(twins.ids) & set(retain.ids))
        self._check(unlearned, retain, twins)
        seed = derive(unlearned.seed if seed is None else seed, "heal", len(unlearned.history))
        if isinstance(unlearned.task, EnsembleTask):
            healed, steps = self._heal_shards(unlearned, retain, twins, seed, callbacks)
        else:
            part = _join(retain, twins)
            healed = self._tune(unlearned, part, self._steps(unlearned, part, 1), seed, callbacks, "healing")
            steps = healed.history[-1].steps
            healed = replace(healed, history=unlearned.history)
        event = Event(
            kind="healed",
            by=repr(self),
            samples=_size(retain) + _size(twins),
            steps=steps,
            seconds=time.perf_counter() - started,
            details={"retained": _size(retain), "twins": _size(twins)},
        )
        return replace(healed, history=(*unlearned.history, event))

    def _check(self, unlearned: Trained, retain: Samples | None, twins: Samples | None) -> None:
        problems = Problems(f"cannot heal with strategy {self.strategy!r}")
        problems.require(
            not self.uses_retain or _size(retain) > 0, "retained samples are missing; give retain=…, or use 'twins'"
        )
        problems.require(
            self.strategy != "twins" or twins is not None, "there are no twins; give twins=…, or use 'retain'"
        )
        problems.require(
            bool(self.epochs or self.steps or unlearned.history),
            "the model has no history to take a duration from; give the healer epochs=… or steps=…",
        )
        if retain is not None:
            foreign = set(retain.ids) - set(unlearned.ids)
            problems.require(
                not foreign,
                f"{len(foreign)} retained samples are not in the model: healing on them would teach what was "
                "forgotten or never seen; give what is left after unlearning",
            )
        for samples in (retain, twins):
            if samples is not None:
                problems.extend(unlearned.task.problems_with(samples))
        problems.raise_any()

    def _steps(self, unlearned: Trained, samples: Samples, shards: int) -> int | None:
        """Steps over these samples, of one of so many shards; None where epochs decide."""
        if self.epochs is not None:
            return None
        if self.steps is not None:
            return max(1, round(self.steps / shards))
        fitted = unlearned.history[0]
        longest = unlearned.recipe.total_epochs(fitted.samples) / 2 * unlearned.recipe.steps_per_epoch(len(samples))
        return max(1, round(min(0.1 * fitted.steps / shards, longest)))

    def _tune(
        self, model: Trained, samples: Samples, steps: int | None, seed: int, callbacks: Sequence[Callback], what: str
    ) -> Trained:
        recipe = replace(
            model.recipe.lasting(epochs=self.epochs, steps=steps),
            learning_rate=self.learning_rate * model.recipe.learning_rate,
        )
        return tune(
            model,
            samples,
            recipe,
            seed=seed,
            kind="healed",
            by=repr(self),
            callbacks=callbacks,
            what=what,
        )

    def _heal_shards(
        self,
        unlearned: Trained,
        retain: Samples | None,
        twins: Samples | None,
        seed: int,
        callbacks: Sequence[Callback],
    ) -> tuple[Trained, int]:
        """Each shard on its own; twins join, as members of its last slice, the shards that have fewest samples.

        Those that are in a shard already stay in it.
        """
        shards = [list(slices) for slices in unlearned.shards]
        adopted: list[list[str]] = [[] for _ in shards]
        home = {i: shard for shard, slices in enumerate(shards) for part in slices for i in part}
        known: list[list[str]] = [[] for _ in shards]
        sizes = [sum(map(len, slices)) for slices in shards]
        for twin in twins.ids if twins is not None else ():
            if twin in home:
                known[home[twin]].append(twin)
                continue
            smallest = sizes.index(min(sizes))
            adopted[smallest].append(twin)
            sizes[smallest] += 1
        available = set(retain.ids) if retain is not None else set()
        members: dict[int, Trained] = {}
        spent = 0
        for shard, slices in enumerate(shards):
            own = [i for part in slices for i in part if i in available]
            stand_ins = known[shard] + adopted[shard]
            part = _join(
                retain.only(own) if retain is not None and own else None,
                twins.only(stand_ins) if twins is not None and stand_ins else None,
            )
            if part is None:
                continue
            steps = self._steps(unlearned, part, len(shards))
            member = member_of(unlearned, shard)
            members[shard] = self._tune(
                member, part, steps, derive(seed, shard), callbacks, f"healing shard {shard + 1}/{len(shards)}"
            )
            spent += members[shard].history[-1].steps
            slices[-1] = (*slices[-1], *adopted[shard])
        event = Event(kind="healed", by=repr(self), samples=0, steps=spent, seconds=0.0)
        healed = join_members(unlearned, members, event)
        layout = tuple(tuple(slices) for slices in shards)
        return replace(healed, shards=layout, ids=tuple(i for s in layout for part in s for i in part)), spent


def _join(retain: Samples | None, twins: Samples | None) -> Samples:
    if retain is None or twins is None:
        return retain or twins  # type: ignore[return-value]
    return retain + twins


def _size(samples: Samples | None) -> int:
    return 0 if samples is None else len(samples)
