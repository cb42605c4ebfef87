"""Consolidation: when a model that has honoured many requests is better trained anew, once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from unscathed.healing.case import Case
from unscathed.healing.healer import Healer
from unscathed.healing.rungs import StartOver
from unscathed.problems import Problems, some
from unscathed.samples import Samples
from unscathed.training import Callback, Evaluation, Event, Trained

DEVIATIONS = 2.0
"""How many standard errors a drop must exceed to count as more than chance."""


@dataclass(frozen=True, kw_only=True)
class Wear:
    """What a model went through since it was last trained from scratch.

    Args:
        requests: how often it unlearned.
        forgotten: samples that it unlearned.
        steps: gradient steps that unlearning and healing took.
        seconds: their wall time.
        fit_steps: the gradient steps of the last training from scratch.
    """

    requests: int
    forgotten: int
    steps: int
    seconds: float
    fit_steps: int

    @classmethod
    def of(cls, trained: Trained) -> Wear:
        """Read from the history.

        Raises:
            BadInputError: the history holds no training from scratch.
        """
        fits = [at for at, event in enumerate(trained.history) if _is_fit(event)]
        problems = Problems("cannot say what the model went through")
        problems.require(bool(fits), "its history holds no training from scratch; give a model that `fit` made")
        problems.raise_any()
        since = trained.history[fits[-1] + 1 :]
        unlearned = [event for event in since if event.kind == "unlearned"]
        return cls(
            requests=len(unlearned),
            forgotten=sum(event.samples for event in unlearned),
            steps=sum(event.steps for event in since),
            seconds=sum(event.seconds for event in since),
            fit_steps=trained.history[fits[-1]].steps,
        )

    @property
    def spent(self) -> float:
        """The steps since the last training from scratch, as a share of its own."""
        return self.steps / max(1, self.fit_steps)

    def __str__(self) -> str:
        return (
            f"{self.requests} requests for {self.forgotten} samples since the last training from scratch, "
            f"{self.steps} steps ({self.spent:.2f} of that training's)"
        )


@dataclass(frozen=True, kw_only=True)
class Consolidation:
    """When to train a model anew on what it holds, in place of healing it ever again.

    There is no gold to measure drift by, so its signs are what stands in the history, and a held-out score against that
    right after the last training from scratch. The score falls also where gold's would, since the data shrink; how much
    of the drop training anew takes back is seen afterwards.

    Args:
        drop: how far the held-out score may fall, as a share of `Task.score_range`, before it is due (if the fall is
            more than chance, too: two standard errors of the samples' own differences).
        spent: how much requests may cost, in trainings from scratch; by default there is no limit. At 1, consolidating
            takes no more in all than the requests took anyway, whenever they stop; a healer that takes a tenth of a
            training's steps is then followed by a training every tenth request or sooner.
        forgotten: how many samples may be forgotten, as a share of those in the model; None for no limit. The default
            is a judgement: what approximates a training without some samples is made for few of them.
        requests: how many requests may pass; None for no limit.

    Raises:
        BadInputError: limits that cannot be.

    Source: the rule of ``spent`` is that of renting and buying; Karlin et al. 1988, "Competitive snoopy caching".
    """

    drop: float = 0.01
    spent: float | None = None
    forgotten: float | None = 0.2
    requests: int | None = None

    def __post_init__(self) -> None:
        problems = Problems("cannot use this consolidation")
        for name in ("drop", "spent", "forgotten", "requests"):
            value = getattr(self, name)
            problems.require(value is None or value > 0, f"{name}={value} must be positive")
        problems.raise_any()

    def due(
        self, trained: Trained, *, held_out: Samples | None = None, reference: Evaluation | None = None
    ) -> str | None:
        """Why the model is better trained anew now, in words; None while it is not.

        Args:
            trained: the model.
            held_out: samples that it was never trained on.
            reference: ``trained.evaluate(held_out)`` right after the last training from scratch. It holds no more than
                what the model made of the held-out samples, so it may be kept, as the model itself may not.

        Raises:
            BadInputError: only one of the two is given, or they do not belong together.
        """
        problems = Problems("cannot say whether consolidation is due")
        problems.require(
            (held_out is None) == (reference is None),
            "held_out and reference belong together; give both, or neither",
        )
        if held_out is not None and reference is not None:
            problems.require(
                len(held_out) == len(reference.scores),
                f"the reference is of {len(reference.scores)} samples, and {len(held_out)} are held out",
            )
            learned = set(trained.ids) & set(held_out.ids)
            problems.require(not learned, f"{len(learned)} held-out samples are in the model ({some(sorted(learned))})")
        problems.raise_any()
        wear = Wear.of(trained)
        if not wear.requests:
            return None
        if held_out is not None and reference is not None:
            fallen = self._fallen(trained, held_out, reference, wear)
            if fallen:
                return fallen
        if self.spent is not None and wear.spent >= self.spent:
            return f"{wear.requests} requests took {wear.steps} steps, and training from scratch took {wear.fit_steps}"
        share = wear.forgotten / len(trained.ids)
        if self.forgotten is not None and share >= self.forgotten:
            return (
                f"{wear.forgotten} samples were forgotten since the last training from scratch, "
                f"{share:.0%} of those in the model"
            )
        if self.requests is not None and wear.requests >= self.requests:
            return f"{wear.requests} requests were honoured since the last training from scratch"
        return None

    def _fallen(self, trained: Trained, held_out: Samples, reference: Evaluation, wear: Wear) -> str | None:
        now = trained.evaluate(held_out)
        falls = (reference.scores - now.scores).double()
        fall = float(falls.mean())
        chance = DEVIATIONS * float(falls.std()) / math.sqrt(len(falls)) if len(falls) > 1 else math.inf
        if fall <= self.drop * trained.task.score_range or fall <= chance:
            return None
        return (
            f"the held-out score fell from {float(reference.scores.mean()):.4g} to {float(now.scores.mean()):.4g} in "
            f"{wear.requests} requests, by more than {self.drop * trained.task.score_range:g} and than chance "
            f"(± {chance:.2g})"
        )


def consolidate(trained: Trained, samples: Samples, *, callbacks: Sequence[Callback] = ()) -> Trained:
    """Train a model anew on what it holds, with its recipe and seed; the history goes on with one event more.

    Nothing of what was forgotten, by whatever method, is left in the weights then.

    Args:
        trained: the model; it is not changed.
        samples: all that is in it, and nothing else.
        callbacks: progress.

    Raises:
        BadInputError: samples are missing, or are not in the model.
    """
    problems = Problems("cannot consolidate")
    missing, foreign = (set(a) - set(b) for a, b in ((trained.ids, samples.ids), (samples.ids, trained.ids)))
    problems.require(not missing, f"{len(missing)} samples of the model are missing ({some(sorted(missing))})")
    problems.require(not foreign, f"{len(foreign)} samples are not in the model ({some(sorted(foreign))})")
    problems.raise_any()
    case = Case(unlearned=trained, reached=trained, before=None, retain=samples, twins=None, seed=trained.seed)
    made = StartOver().climb(case, Healer(), callbacks)
    event = replace(made.history[-1], kind="fitted", by="consolidate", samples=len(samples))
    return replace(made, history=(*trained.history, event))


def _is_fit(event: Event) -> bool:
    """Whether weights were drawn anew: by `fit`, by `Retrain`, or by an escalation's last rung."""
    retrained = event.kind == "unlearned" and event.by.startswith("Retrain(")
    return event.kind == "fitted" or retrained or bool(event.details.get("started_over"))
