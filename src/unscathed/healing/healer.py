"""Healing: a short fine-tuning that makes an unlearned model whole again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal, get_args

import torch

from unscathed.ensemble import EnsembleTask
from unscathed.healing.base import HealingMethod, steps_since
from unscathed.healing.guard import Guarded, guard
from unscathed.healing.layers import AllLayers, HealedLayers
from unscathed.healing.objectives import HealingObjective, OwnLoss
from unscathed.healing.shards import heal_shards, joined
from unscathed.healing.until import Until
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Callback, Event, Trained, tune
from unscathed.training.seeds import derive, generator
from unscathed.unlearners.sisa import member_of

Strategy = Literal["retain+twins", "twins+replay", "twins", "retain"]


@dataclass(frozen=True, kw_only=True)
class Healer(HealingMethod):
    """Fine-tune an unlearned model on retained samples, on twins from the reserve, or on both.

    What is trained on, what is descended, which layers move and for how long are choices of their own.

    Args:
        strategy: ``"retain+twins"`` (the paper's), ``"twins+replay"`` (twins and a few retained samples beside each),
            ``"twins"`` (needs no training data), or ``"retain"`` (the control that tells whether the twins did
            anything).
        epochs: passes over the samples healed on; give this, ``steps`` or ``until``. By default as many steps as make
            a tenth of the original's training, but no more than N/2 passes (N: the original's epochs; the paper's
            longest), so that a few twins are not gone over hundreds of times.
        steps: gradient steps.
        until: what to reach, in rounds; it asks for held-out samples.
        learning_rate: its peak, as a share of the original recipe's.
        objective: what is descended: `OwnLoss`, or `Distillation` from the model before unlearning.
        layers: which parameters move: `AllLayers`, `HeadFirst` or `LowRank`.
        replay: for ``"twins+replay"``, how many retained samples are drawn for each twin.
        guard: whether, where few or no retained samples are healed on, twins are first looked at (`Typicality`): those
            of hard samples, or of one class, would ruin the model. Where they are atypical they count less, and three
            typical spares are drawn beside each. It takes the model before unlearning and the spares that are left.

    Source: Jasiorski et al. 2025, "How to Protect Models against Adversarial Unlearning?" (arXiv 2507.10886).
    """

    strategy: Strategy = "retain+twins"
    epochs: float | None = None
    steps: int | None = None
    until: Until | None = None
    learning_rate: float = 0.2
    objective: HealingObjective = field(default_factory=OwnLoss)
    layers: HealedLayers = field(default_factory=AllLayers)
    replay: float = 1.0
    guard: bool = True

    def __post_init__(self) -> None:
        problems = Problems("cannot use this healer")
        allowed = get_args(Strategy)
        problems.require(
            self.strategy in allowed, f"strategy={self.strategy!r} must be one of {', '.join(map(repr, allowed))}"
        )
        given = [name for name in ("epochs", "steps", "until") if getattr(self, name) is not None]
        problems.require(len(given) < 2, f"{' and '.join(given)} are given together; give one")
        for name in ("epochs", "steps", "learning_rate", "replay"):
            value = getattr(self, name)
            problems.require(value is None or value > 0, f"{name}={value} must be positive")
        problems.raise_any()

    def __repr__(self) -> str:
        # What is left as it comes says nothing, and would make every line of a history long.
        quiet = ("until", "objective", "layers", "replay", "guard")
        plain = {f.name: f.default_factory() if callable(f.default_factory) else f.default for f in fields(self)}
        said = {name: getattr(self, name) for name in plain}
        shown = [f"{n}={value!r}" for n, value in said.items() if n not in quiet or value != plain[n]]
        return f"Healer({', '.join(shown)})"

    @property
    def uses_twins(self) -> bool:
        """Whether this strategy trains on twins."""
        return self.strategy != "retain"

    @property
    def uses_retain(self) -> bool:
        """Whether this strategy trains on retained samples."""
        return self.strategy != "twins"

    @property
    def needs_before(self) -> bool:
        """Whether it asks the model before unlearning."""
        return self.objective.needs_before or self.draws_spares

    @property
    def needs_held_out(self) -> bool:
        """Whether it looks at samples that are not healed on."""
        return self.until is not None

    @property
    def draws_spares(self) -> bool:
        """Whether it may train on more spares than the twins, where these are atypical."""
        return self.guard and self.strategy in ("twins", "twins+replay")

    def heal(
        self,
        unlearned: Trained,
        *,
        retain: Samples | None = None,
        twins: Samples | None = None,
        before: Trained | None = None,
        held_out: Samples | None = None,
        forgotten: Samples | None = None,
        spares: Samples | None = None,
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
            before: the model before unlearning, for objectives that ask it, and for the guard. It is shown only what is
                healed on, and spares.
            held_out: samples that are not healed on, for `Until`.
            forgotten: not looked at.
            spares: unspent spares besides the twins, for the guard.
            seed: of batch order, augmentation and dropout; by default the model's own.
            callbacks: progress.

        Raises:
            BadInputError: what the strategy trains on, or what objective and duration need, is missing, or is not the
                model's.
        """
        started = time.perf_counter()
        # In the order of their ids: that of the request would tell who stands in for whom.
        twins = twins.only(sorted(twins.ids)) if self.uses_twins and twins is not None and len(twins) else None
        retain = retain if self.uses_retain else None
        seed = derive(unlearned.seed if seed is None else seed, "heal", len(unlearned.history))
        if retain is not None and twins is not None:
            # Spares that were spent before are retained samples by now; each is trained on once.
            retain = retain.without(set(twins.ids) & set(retain.ids))
        self._check(unlearned, retain, twins, before, held_out)
        guarded = guard(twins, spares, before, retain, seed) if self.draws_spares else Guarded(twins, {}, {})
        retain = self._replayed(retain, twins, seed)
        details: dict[str, Any] = {"retained": _size(retain), "twins": _size(twins), **guarded.details}
        once = partial(
            self._once, retain=retain, twins=guarded.twins, weights=guarded.weights, before=before, callbacks=callbacks
        )
        if self.until is None:
            healed, steps = once(unlearned, self.steps, seed)
        else:
            assert held_out is not None
            healed, steps, rounds = self.until.rounds(
                unlearned, held_out, lambda model, steps, number: once(model, steps, derive(seed, number))
            )
            details["rounds"] = rounds
        event = Event(
            kind="healed",
            by=repr(self),
            samples=_size(retain) + _size(guarded.twins),
            steps=steps,
            seconds=time.perf_counter() - started,
            details=details,
        )
        return replace(healed, history=(*unlearned.history, event))

    def _once(
        self,
        model: Trained,
        steps: int | None,
        seed: int,
        *,
        retain: Samples | None,
        twins: Samples | None,
        weights: Mapping[str, float],
        before: Trained | None,
        callbacks: Sequence[Callback],
    ) -> tuple[Trained, int]:
        """One healing with one schedule, and its steps."""
        if isinstance(model.task, EnsembleTask):
            shards = len(model.shards)

            def heal_shard(member: Trained, part: Samples, shard: int) -> Trained:
                what = f"healing shard {shard + 1}/{shards}"
                its_before = member_of(before, shard) if before is not None else None
                lasting = self._steps(model, part, shards, steps)
                return self._tune(member, part, weights, lasting, derive(seed, shard), its_before, callbacks, what)

            return heal_shards(model, retain, twins, heal_shard)
        part = joined(retain, twins)
        assert part is not None
        lasting = self._steps(model, part, 1, steps)
        healed = self._tune(model, part, weights, lasting, seed, before, callbacks, "healing")
        return replace(healed, history=model.history), steps_since(model, healed)

    def _check(
        self,
        unlearned: Trained,
        retain: Samples | None,
        twins: Samples | None,
        before: Trained | None,
        held_out: Samples | None,
    ) -> None:
        problems = Problems(f"cannot heal with strategy {self.strategy!r}")
        problems.require(
            not self.uses_retain or _size(retain) > 0, "retained samples are missing; give retain=…, or use 'twins'"
        )
        problems.require(
            self.strategy not in ("twins", "twins+replay") or twins is not None,
            "there are no twins; give twins=…, or use 'retain'",
        )
        problems.require(
            bool(self.epochs or self.steps or unlearned.history),
            "the model has no history to take a duration from; give the healer epochs=… or steps=…",
        )
        if self.objective.needs_before:
            problems.require(
                before is not None,
                f"{self.objective!r} asks the model before unlearning; give before=…, or use OwnLoss()",
            )
        if self.until is not None and problems.require(
            _size(held_out) > 0, "Until looks at held-out samples; give held_out=…, or steps=… instead"
        ):
            assert held_out is not None
            used = {i for part in (retain, twins) if part is not None for i in part.ids}
            seen = used.intersection(held_out.ids)
            problems.require(not seen, f"{len(seen)} held-out samples are healed on; hold out others")
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

    def _replayed(self, retain: Samples | None, twins: Samples | None, seed: int) -> Samples | None:
        """The retained samples that are healed on: all of them, or a few for each twin."""
        if self.strategy != "twins+replay" or retain is None or twins is None:
            return retain
        count = max(1, min(len(retain), round(self.replay * len(twins))))
        drawn = torch.randperm(len(retain), generator=generator(seed, "replay"))[:count]
        return retain.only([retain.ids[p] for p in drawn.tolist()])

    def _steps(self, model: Trained, samples: Samples, shards: int, steps: int | None) -> int | None:
        """Steps over these samples, of one of so many shards; None where epochs decide."""
        if steps is not None:
            return max(1, round(steps / shards))
        if self.epochs is not None:
            return None
        fitted = model.history[0]
        longest = model.recipe.total_epochs(fitted.samples) / 2 * model.recipe.steps_per_epoch(len(samples))
        return max(1, round(min(0.1 * fitted.steps / shards, longest)))

    def _tune(
        self,
        model: Trained,
        samples: Samples,
        weights: Mapping[str, float],
        steps: int | None,
        seed: int,
        before: Trained | None,
        callbacks: Sequence[Callback],
        what: str,
    ) -> Trained:
        recipe = replace(
            model.recipe.lasting(epochs=self.epochs if steps is None else None, steps=steps),
            learning_rate=self.learning_rate * model.recipe.learning_rate,
        )
        recipe = self.layers.recipe(recipe)
        objective = self.objective.objective(model.task, before)
        healed = model
        for number, (lasting, around) in enumerate(self.layers.phases(recipe.total_steps(len(samples)))):
            healed = tune(
                healed,
                samples,
                recipe.lasting(steps=lasting),
                seed=derive(seed, number) if number else seed,
                kind="healed",
                by=repr(self),
                callbacks=callbacks,
                what=what,
                objective=objective,
                weights=torch.tensor([weights.get(i, 1.0) for i in samples.ids]) if weights else None,
                around_training=around,
            )
        return healed


def _size(samples: Samples | None) -> int:
    return 0 if samples is None else len(samples)
