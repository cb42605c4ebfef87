"""SISA: train in shards and slices, so that forgetting retrains only what saw the forgotten."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import get_args

from unscathed.ensemble import Aggregation, EnsembleTask
from unscathed.executors import InProcess
from unscathed.problems import Problems, some
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training import Callback, Event, Recipe, State, Trained, check_fit, state_of, tune
from unscathed.training.seeds import derive, seeded
from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.costs import stage_epochs
from unscathed.unlearners.layouts import Layout, at_random, first_touched, flat, problems_with_layout, without


@dataclass(frozen=True, kw_only=True)
class Sisa(Unlearner):
    """Sharded, isolated, sliced, aggregated training: exact unlearning, at the price of weaker shards.

    Each of S shards trains a model of its own, slice by slice: first on slice 1, then on slices 1 and 2, …, with a
    checkpoint after each. Forgetting goes back, in each shard touched, to the checkpoint before the first slice
    touched and trains on from there without the forgotten. What results is bit for bit what training without them
    under the same layout would have given. What it costs is said beforehand by `unscathed.expected_cost` (for requests
    at random) and afterwards by the event's ``sample_epochs``: samples that went forward and backward.

    Args:
        shards: S.
        slices: R. Each of the R stages lasts ``2 / (R + 1)`` of the recipe's epochs, so that a shard sees as many
            samples as without slices.
        aggregation: how shards answer together: ``"mean"`` (`Task.aggregate`; of classes, the mean probability) or
            ``"vote"`` (the majority; `Task.vote`). The model keeps it, whoever unlearns from it.
        executor: where shards are trained, in parallel (`unscathed.executors`); by default here, one after the other,
            which is where ``callbacks`` see progress.

    Source: Bourtoule et al. 2021, "Machine Unlearning", sections IV and V.
    """

    needs_checkpoints = True
    trains_original = True
    exact = True

    shards: int = 3
    slices: int = 2
    aggregation: Aggregation = "mean"
    executor: Executor | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        problems = Problems("cannot use Sisa")
        problems.require(self.shards >= 1, f"shards={self.shards} must be at least 1")
        problems.require(self.slices >= 1, f"slices={self.slices} must be at least 1")
        allowed = get_args(Aggregation)
        problems.require(
            self.aggregation in allowed,
            f"aggregation={self.aggregation!r} must be one of {', '.join(map(repr, allowed))}",
        )
        problems.raise_any()

    def fit(
        self,
        task: Task,
        samples: Samples,
        recipe: Recipe | None = None,
        *,
        seed: int = 0,
        layout: Layout | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Trained:
        """Train an ensemble of shards; what it returns can be unlearned from, healed and audited like any model.

        Args:
            task: what each shard's model does.
            samples: what to train on.
            recipe: how each shard is trained.
            seed: of the layout and of every shard.
            layout: ids by shard and slice; by default drawn from the seed (`unscathed.by_requester` makes others).
            callbacks: progress.

        Raises:
            BadInputError: the samples do not suit the task, are too few for the shards and slices or not those of the
                layout, or the task has no classes to vote on.
        """
        check_fit(task, samples)
        problems = Problems("cannot train with Sisa")
        problems.require(
            self.aggregation != "vote" or task.can_vote,
            f"{type(task).__name__} predicts no classes to vote on; use aggregation='mean'",
        )
        if layout is not None:
            problems.extend(problems_with_layout(layout, samples, self.shards, self.slices))
        problems.raise_any()
        if layout is None:
            layout = at_random(samples, shards=self.shards, slices=self.slices, seed=seed)
        recipe = recipe or Recipe()
        ensemble = EnsembleTask(task, self.shards, self.aggregation)
        with seeded(seed, "initialisation"):
            weights = state_of(ensemble.build())
        blank = Trained(
            task=ensemble,
            weights=weights,
            # Counted in epochs once and for all: a stage must not change its length when a later request shrinks it.
            recipe=recipe.lasting(epochs=recipe.total_epochs(len(samples))),
            seed=seed,
            ids=(),
        )
        starts = dict.fromkeys(range(self.shards), 0)
        return self._train(blank, samples, layout, starts, {}, "fitted", len(samples), callbacks)

    def problems_with(self, trained: Trained, samples: Samples, forget: Sequence[str]) -> list[str]:
        """Shards that would be empty; retained samples and checkpoints that their training needs and that are gone."""
        gone = set(forget)
        touched = first_touched(trained.shards, gone)
        left = without(trained.shards, gone)
        found = []
        empty = [shard for shard in touched if not any(left[shard])]
        if empty:
            found.append(f"shards {empty} would be left without samples; train with fewer shards")
        known = set(samples.ids)
        lost = [i for shard in touched for part in left[shard] for i in part if i not in known]
        if lost:
            found.append(f"{len(lost)} retained samples of the shards touched are not at hand ({some(lost)})")
        starts = [_checkpoint(shard, first - 1) for shard, first in touched.items() if first]
        missing = [name for name in starts if name not in trained.checkpoints]
        if missing:
            found.append(f"the model lacks the checkpoints {some(missing)}")
        return found

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        gone = set(forget)
        touched, left = first_touched(trained.shards, gone), without(trained.shards, gone)
        return self._train(trained, samples, left, touched, trained.checkpoints, "unlearned", len(forget), callbacks)

    def _train(
        self,
        trained: Trained,
        samples: Samples,
        layout: Layout,
        starts: dict[int, int],
        checkpoints: Mapping[str, State],
        kind: str,
        count: int,
        callbacks: Sequence[Callback],
    ) -> Trained:
        """Train the shards in ``starts``, each from the slice given there on."""
        started = time.perf_counter()
        kept = dict(checkpoints)
        members = {}
        # Shards know nothing of each other, so each job is sent its own samples and checkpoint only.
        place, watching = (self.executor, ()) if self.executor else (InProcess(), callbacks)
        jobs = {}
        for shard, first in starts.items():
            own = samples.only(i for part in layout[shard] for i in part)
            before = kept[_checkpoint(shard, first - 1)] if first else None
            blank = member_of(trained, shard)
            jobs[shard] = place.submit(
                _train_shard, blank, own, layout[shard], f"shard {shard + 1}/{len(layout)}", first, before, watching
            )
        for shard, job in jobs.items():
            members[shard], states = job.result()
            kept.update({_checkpoint(shard, stage): state for stage, state in states.items()})
        stages = [event for member in members.values() for event in member.history]
        batch = trained.recipe.batch_size
        event = Event(
            kind=kind,
            by=repr(self),
            samples=count,
            steps=sum(stage.steps for stage in stages),
            seconds=time.perf_counter() - started,
            details={
                "shards_trained": len(starts),
                "sample_epochs": sum(stage.steps * min(batch, stage.samples) for stage in stages),
            },
        )
        return replace(join_members(trained, members, event), shards=layout, checkpoints=kept, ids=flat(layout))


def _train_shard(
    blank: Trained,
    samples: Samples,
    slices: tuple[tuple[str, ...], ...],
    what: str,
    first: int,
    checkpoint: State | None,
    callbacks: Sequence[Callback],
) -> tuple[Trained, dict[int, State]]:
    """Train a shard's slices from ``first`` on; returns its model and the states after each slice but the last."""
    start = checkpoint
    if start is None:
        with seeded(blank.seed, "initialisation"):
            start = state_of(blank.task.build())
    member = replace(blank, weights=start, ids=(), history=())
    made = {}
    for stage in range(first, len(slices)):
        ids = [i for part in slices[: stage + 1] for i in part]
        if ids:
            assert blank.recipe.epochs is not None
            member = tune(
                member,
                samples.only(ids),
                blank.recipe.lasting(epochs=stage_epochs(blank.recipe.epochs, len(slices))),
                seed=derive(blank.seed, "slice", stage),
                kind="fitted",
                by=f"{what}, slice {stage + 1}",
                callbacks=callbacks,
                what=f"{what}, slice {stage + 1}/{len(slices)}",
            )
        if stage < len(slices) - 1:
            made[stage] = member.weights
    return member, made


def member_of(trained: Trained, shard: int) -> Trained:
    """One shard's model out of an ensemble, with its own ids and seed and an empty history."""
    assert isinstance(trained.task, EnsembleTask)
    prefix = f"members.{shard}."
    return Trained(
        task=trained.task.task,
        weights={n.removeprefix(prefix): w for n, w in trained.weights.items() if n.startswith(prefix)},
        recipe=trained.recipe,
        seed=derive(trained.seed, "shard", shard),
        ids=flat(trained.shards[shard : shard + 1]),
    )


def join_members(trained: Trained, members: dict[int, Trained], event: Event) -> Trained:
    """The ensemble with some shards' models replaced, and one event more."""
    weights = dict(trained.weights)
    for shard, member in members.items():
        weights.update({f"members.{shard}.{name}": w for name, w in member.weights.items()})
    return replace(trained, weights=weights, history=(*trained.history, event))


def _checkpoint(shard: int, stage: int) -> str:
    return f"shard-{shard}/slice-{stage}"
