"""Escalation: healing by price, from a few steps to training anew, as far as it takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from unscathed.healing.base import HealingMethod
from unscathed.healing.case import Case
from unscathed.healing.healer import Healer
from unscathed.healing.rungs import Heal, Repair, Resume, Rung, StartOver
from unscathed.problems import BadInputError, Problems, some
from unscathed.samples import Samples
from unscathed.training import Callback, DivergedError, Event, Trained

# With the last kept back, a tenth of gold is left to be spent before: half of it on a gentle healing and half on
# repair, or, from collapse, all of it on repair.
RUNGS: tuple[Rung, ...] = (
    Heal(share=0.05),
    Repair(share=0.1),
    Repair(share=0.05),
    Heal(share=0.2, learning_rate=1.0),
    Resume(),
    StartOver(),
)


@dataclass(frozen=True, kw_only=True)
class Escalation(HealingMethod):
    """Heal by rungs, each dearer than the last, until the model is whole and has forgotten.

    A rung is tried where it can be paid for: all of them together take no more than ``ceiling`` of gold's steps, and as
    long as the last one has not been tried, its price is kept back. So the user pays a few steps where these do, and a
    little more than a retraining at worst. A rung goes on from what the best before it reached. Gold is here what
    healing aims at: a model trained from scratch on the retained samples and the twins.

    Serves wherever a `Healer` does. The history has one event for the whole climb: in its ``details``, each rung's
    expected and actual steps and what it reached, or why it was passed over.

    Args:
        rungs: in the order in which they are tried.
        healer: what heals on the rungs that heal; they give it their own duration and learning rate.
        tolerance: how far below the target the held-out score may lie, as a share of `Task.score_range`.
        target: the held-out score to reach; by default that of the model before unlearning.
        ceiling: the steps of all rungs together, as a share of gold's.
        enough: whether a model is whole; asked in place of the held-out score.
        remembers: whether a model shows memory of the forgotten. One that does is not healed further (that takes no
            memory away): only rungs are tried that start from where nothing was learned from the forgotten.
        held_out: what the score is taken of, where `heal` is given none; never healed on.

    Raises:
        BadInputError: there are no rungs, or numbers cannot be.
    """

    rungs: tuple[Rung, ...] = RUNGS
    healer: Healer = field(default_factory=Healer)
    tolerance: float = 0.01
    target: float | None = None
    ceiling: float = 1.1
    enough: Callable[[Trained], bool] | None = field(default=None, repr=False, compare=False)
    remembers: Callable[[Trained], bool] | None = field(default=None, repr=False, compare=False)
    held_out: Samples | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        problems = Problems("cannot use this escalation")
        problems.require(len(self.rungs) > 0, "there are no rungs; give at least one, e.g. Heal(share=0.05)")
        problems.require(
            math.isfinite(self.tolerance) and self.tolerance >= 0, f"tolerance={self.tolerance} must be at least 0"
        )
        problems.require(
            math.isfinite(self.ceiling) and self.ceiling > 0, f"ceiling={self.ceiling} must be a positive share"
        )
        problems.require(
            all(getattr(self.healer, name, None) is None for name in ("steps", "epochs", "until")),
            "the healer has a duration of its own; leave it out, since each rung gives it one",
        )
        problems.raise_any()

    @property
    def uses_twins(self) -> bool:
        """Whether the healer trains on twins."""
        return self.healer.uses_twins

    @property
    def uses_retain(self) -> bool:
        """Whether the healer trains on retained samples."""
        return self.healer.uses_retain

    @property
    def brings(self) -> tuple[str, ...]:
        """What warm starts of its rungs were trained on."""
        return tuple(dict.fromkeys(i for rung in self.rungs for i in rung.brings))

    @property
    def needs_before(self) -> bool:
        """Whether the model before unlearning is of use: always, to find damage by."""
        return True

    @property
    def needs_held_out(self) -> bool:
        """Whether `heal` must be given held-out samples."""
        return self.enough is None and self.held_out is None

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
        """Heal a model, rung by rung; returns the first that is whole and has forgotten, else the best.

        At least one rung is climbed, so that twins (if used) are always training samples afterwards. A model that
        started over holds the retained samples and the twins that it was given, and no others.

        Args:
            unlearned: the model; it is not changed.
            retain: the samples that stay; None where they are no longer at hand, and then nothing can start over.
            twins: the spares that stand in for what was forgotten.
            before: the model before unlearning: what damage and the held-out score are compared with. Nothing is taken
                from it.
            held_out: what the score is taken of; never healed on.
            forgotten: not looked at.
            spares: not used.
            seed: of what is drawn at random; by default the model's own.
            callbacks: progress.

        Raises:
            BadInputError: there is nothing to judge a model by, or no rung could be tried, paid for and trained.
        """
        started = time.perf_counter()
        retain = retain if self.uses_retain else None
        twins = twins if self.uses_twins and twins is not None and len(twins) else None
        if retain is not None and twins is not None:
            # Spares that were spent before are retained samples by now; each is trained on once.
            retain = retain.without(set(twins.ids) & set(retain.ids))
        seed = unlearned.seed if seed is None else seed
        case = Case(unlearned=unlearned, reached=unlearned, before=before, retain=retain, twins=twins, seed=seed)
        judge = self._judge(case, self.held_out if held_out is None else held_out)
        climb = _Climb(case, self.rungs, self.healer, self.ceiling * case.gold_steps, judge, callbacks)
        for rung in self.rungs:
            climb.attempt(rung)
            if climb.done:
                break
        healed = climb.best()
        event = Event(
            kind="healed",
            by=repr(self),
            samples=len(case.samples),
            steps=climb.spent,
            seconds=time.perf_counter() - started,
            details={
                "retained": 0 if retain is None else len(retain),
                "twins": 0 if twins is None else len(twins),
                "gold_steps": case.gold_steps,
                "enough": climb.done,
                "kept": climb.kept,
                "started_over": healed.history[-1].details.get("started_over", False),
                "rungs": climb.told,
            },
        )
        return replace(healed, history=(*unlearned.history, event))

    def _judge(self, case: Case, held_out: Samples | None) -> Judge:
        """What is asked of each rung's model, once it is clear that it can be asked."""
        problems = case.problems()
        task = case.unlearned.task
        target = self.target
        if self.enough is None:
            problems.require(
                held_out is not None and len(held_out) > 0,
                "there is nothing to judge a model by; give held_out=… or enough=…",
            )
            problems.require(
                target is not None or case.before is not None,
                "there is no score to reach; give target=…, or before=…, the model before unlearning",
            )
        if held_out is not None:
            problems.extend(task.problems_with(held_out))
            at_hand = {i for part in (case.retain, case.twins) if part is not None for i in part.ids}
            both = at_hand & set(held_out.ids)
            problems.require(
                not both, f"{len(both)} held-out samples are healed on ({some(sorted(both))}); hold others out"
            )
        problems.raise_any()
        if target is None and held_out is not None and case.before is not None:
            target = case.before.score(held_out)
        least = -math.inf if target is None else target - self.tolerance * task.score_range

        def judge(model: Trained) -> Verdict:
            score = None if held_out is None else model.score(held_out)
            enough = self.enough(model) if self.enough is not None else score is not None and score >= least
            return Verdict(score, bool(enough), self.remembers is not None and bool(self.remembers(model)))

        return judge


class Verdict(NamedTuple):
    """What is made of one rung's model: its held-out score, whether that is enough, and whether memory shows."""

    score: float | None
    enough: bool
    remembers: bool


Judge = Callable[[Trained], Verdict]


class _Climb:
    """Rungs, one after the other, within a budget of gradient steps."""

    def __init__(
        self,
        case: Case,
        rungs: Sequence[Rung],
        healer: Healer,
        budget: float,
        judge: Judge,
        callbacks: Sequence[Callback],
    ) -> None:
        self.case = case
        self.told: list[dict[str, Any]] = []
        """Of each rung, its price and what it reached, or why it was passed over; plain JSON."""
        self.spent = 0
        self.done = False
        self.kept = ""
        """The rung whose model is the best so far."""
        self._healer = healer
        self._budget = budget
        self._judge = judge
        self._callbacks = callbacks
        self._last = rungs[-1]
        self._best: tuple[tuple[bool, float, int], Trained] | None = None

    def attempt(self, rung: Rung) -> None:
        """Try a rung, unless it cannot be tried, or paid for."""
        case = self.case
        why_not = rung.missing(case) or self._unaffordable(rung, rung.steps(case))
        if not why_not and case.remembers and not rung.clean:
            why_not = "what was reached shows memory of the forgotten, which healing further does not take away"
        if why_not:
            self.told.append({"rung": repr(rung), "passed_over": why_not})
            return
        expected = rung.steps(case)
        try:
            made = rung.climb(case, self._healer, self._callbacks)
        except DivergedError as error:
            # How far it came is not told, so it is taken to have cost all that it might.
            self.spent += expected
            self.told.append({"rung": repr(rung), "expected_steps": expected, "steps": expected, "failed": str(error)})
            return
        done = made.history[len(case.unlearned.history if rung.clean else case.reached.history) :]
        took = sum(event.steps for event in done)
        self.spent += took
        score, enough, remembers = self._judge(made)
        did = [{"by": event.by, **event.details} for event in done]
        self.told.append(
            {
                "rung": repr(rung),
                "expected_steps": expected,
                "steps": took,
                "score": score,
                "enough": enough,
                "remembers": remembers,
                "did": did,
            }
        )
        # Where no score tells models apart, what cost more is thought the better.
        rank = (not remembers, float(enough) if score is None else score, len(self.told))
        if self._best is None or rank > self._best[0]:
            self._best, self.kept = (rank, made), repr(rung)
            self.case = replace(case, reached=made, remembers=remembers)
        self.done = enough and not remembers

    def best(self) -> Trained:
        """What was reached.

        Raises:
            BadInputError: every rung was passed over.
        """
        if self._best is None:
            why = [f"{told['rung']}: {told.get('passed_over') or told['failed']}" for told in self.told]
            raise BadInputError("cannot heal by any rung", why)
        return self._best[1]

    def _unaffordable(self, rung: Rung, price: int) -> str | None:
        left = self._budget - self.spent
        if price > left:
            return f"it takes {price} steps, and {left:.0f} are left"
        if rung is self._last or self._last.missing(self.case) or self._last.steps(self.case) > left:
            return None
        kept_back = self._last.steps(self.case)
        if price > left - kept_back:
            return f"it takes {price} steps, and {kept_back} of the {left:.0f} left are kept back for {self._last!r}"
        return None
