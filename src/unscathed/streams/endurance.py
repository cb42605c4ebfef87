"""Endurance: what a stream of requests makes of a model, step by step."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from unscathed.adversaries import Adversary, BlindView
from unscathed.audit import membership_auc
from unscathed.ensemble import EnsembleTask
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.steward import Steward
from unscathed.streams.stream import Request, Stream
from unscathed.training import Callback, Trained
from unscathed.unlearners import BudgetSpentError


@dataclass(frozen=True, kw_only=True)
class Step:
    """What stood after one batch of requests was honoured.

    Args:
        time: when its last request arrived, in the units of the requesters' rates.
        requests: how many there had been.
        hostile: how many of these came from an adversary.
        asked: samples that this batch named.
        forgotten: samples that all named so far.
        score: mean score on test.
        worst_class: mean score on test of the class that has the lowest; NaN where there are no classes.
        gold: mean score of the model trained without all of the forgotten; NaN where it was not trained.
        membership: how well the forgotten are told from unseen samples by their margins, as an area under the curve
            (a look at a population, weaker than a shadow attack); 0.5 where they cannot be.
        gold_membership: the same for gold; NaN where it was not trained.
        unspent: spares that are left.
        twins: spares that this batch spent.
        steps: gradient steps that it cost.
        seconds: what it took.
    """

    time: float
    requests: int
    hostile: int
    asked: int
    forgotten: int
    score: float
    worst_class: float
    gold: float
    membership: float
    gold_membership: float
    unspent: int
    twins: int
    steps: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Endurance:
    """What became of a model under a stream of requests.

    Args:
        stream: what arrived, in words.
        steward: what honoured it, in words.
        seed: of the stream.
        original: mean score on test before all requests.
        training_steps: gradient steps that the first training took.
        steps: one a batch.
        ended: why it ended.
        percent: whether scores are shares, to be shown in percent.
    """

    stream: str
    steward: str
    seed: int
    original: float
    training_steps: int
    steps: tuple[Step, ...]
    ended: str
    percent: bool = True

    @property
    def damage(self) -> float:
        """How far the last model lies below gold, or the original where that was never trained; NaN if none came."""
        if not self.steps:
            return math.nan
        last = self.steps[-1]
        return (self.original if math.isnan(last.gold) else last.gold) - last.score

    @property
    def cost(self) -> float:
        """The mean gradient steps of a request, over those of the first training; NaN if none came."""
        if not self.steps:
            return math.nan
        return sum(step.steps for step in self.steps) / self.steps[-1].requests / self.training_steps

    def __str__(self) -> str:
        scale, unit = (100.0, " %") if self.percent else (1.0, "")
        head = ("requests", "hostile", "forgotten", f"test{unit}", "worst class", "gold", "membership", "of gold")
        lines = [self.stream, "  ".join((*head, "unspent", "steps"))]
        for s in self.steps:
            scores = (f"{scale * v:.2f}" if not math.isnan(v) else "–" for v in (s.score, s.worst_class, s.gold))
            areas = (f"{v:.3f}" if not math.isnan(v) else "–" for v in (s.membership, s.gold_membership))
            cells = (str(s.requests), str(s.hostile), str(s.forgotten), *scores, *areas)
            row = [f"{cell:>{len(name)}}" for cell, name in zip(cells, head, strict=True)]
            lines.append("  ".join((*row, f"{s.unspent:>7}", f"{s.steps:>5}")))
        return "\n".join([*lines, f"before: {scale * self.original:.2f}{unit}; {self.ended}"])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; what is not known is null."""
        steps = [{k: None if v != v else v for k, v in asdict(step).items()} for step in self.steps]
        return {f.name: steps if f.name == "steps" else getattr(self, f.name) for f in fields(self)}


def endure(
    steward: Steward,
    stream: Stream,
    test: Samples,
    *,
    validation: Samples | None = None,
    owners: Mapping[str, str | None] | None = None,
    gold_every: int = 0,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
) -> Endurance:
    """Send a steward a stream of requests, and measure its model each time it has honoured some.

    It ends early where the unlearner's budget is spent and nobody heals (`BudgetSpentError`); ``ended`` says so.

    Args:
        steward: keeps the model. It changes, as it does in use.
        stream: what arrives. Requests name samples that the model was first trained on, never spent spares.
        test: held-out samples that scores are of, and what the forgotten are compared with, as never seen.
        validation: held-out samples whose loss a parameter-aware adversary raises. By default ``test``: then it chooses
            by what is measured on, and damage comes out larger.
        owners: whose each sample is, by id, where adversaries know that.
        gold_every: trains gold after so many batches, and after the last; 0 never does.
        seed: of arrivals and of what requesters draw.
        callbacks: progress: one step a batch, and what happens within.

    Raises:
        BadInputError: something that was handed in cannot be worked with; all of it is named before work starts.
    """
    problems = Problems("cannot send the stream")
    task = steward.trained.task
    for name, held_out in (("test", test), ("validation", validation)):
        if held_out is not None and problems.require(len(held_out) > 0, f"there are no {name} samples"):
            problems.extend(f"{name} {p}" for p in task.problems_with(held_out))
            kind, trained_on = ((part.shape, part.dtype) for part in (held_out, steward.samples))
            problems.require(
                kind == trained_on,
                f"{name} inputs are {kind[1]} {tuple(kind[0])}, the model's {trained_on[1]} {tuple(trained_on[0])}",
            )
            shared = set(held_out.ids) & {*steward.samples.ids, *steward.reserve.spares.ids}
            problems.require(not shared, f"{len(shared)} {name} samples are training samples or spares, too")
    problems.require(gold_every >= 0, f"gold_every={gold_every} must be a number of batches, or 0 for never")
    problems.raise_any()

    first, aim = steward.samples, test if validation is None else validation
    original = steward.trained
    forgotten: list[str] = []
    steps: list[Step] = []
    arrived: list[Request] = []

    def left() -> Samples:
        return first.without(forgotten)

    def view_of(adversary: Adversary[Any], own: Samples) -> BlindView:
        return adversary.view_type.of(steward.trained, own, validation=aim, owners=owners)

    def with_gold(step: Step) -> Step:
        gold = _gold(steward, original, left())
        return replace(step, gold=gold.score(test), gold_membership=_membership(gold, first.only(forgotten), test))

    ended = ""
    for callback in callbacks:
        callback.on_start("stream", -(-stream.requests // stream.batch))
    try:
        for number, batch in enumerate(stream.batches(first, left, view_of, seed=seed), start=1):
            wanted = list(dict.fromkeys(i for request in batch for i in request.ids))
            if len(forgotten) + len(wanted) >= len(first):
                ended = "nothing would have been left"
                break
            before, unspent = len(steward.trained.history), len(steward.reserve.unspent)
            started = time.perf_counter()
            try:
                outcome = steward.forget(wanted, request=f"stream {seed}, batch {number}")
            except BudgetSpentError as error:
                ended = f"batch {number} was refused: {error}"
                break
            seconds = time.perf_counter() - started
            forgotten += wanted
            arrived += batch
            known = first.only(forgotten)
            step = Step(
                time=batch[-1].time,
                requests=len(arrived),
                hostile=sum(request.hostile for request in arrived),
                asked=len(wanted),
                forgotten=len(forgotten),
                score=outcome.trained.score(test),
                worst_class=_worst_class(outcome.trained, test),
                gold=math.nan,
                membership=_membership(outcome.trained, known, test),
                gold_membership=math.nan,
                unspent=len(steward.reserve.unspent),
                twins=unspent - len(steward.reserve.unspent),
                steps=sum(e.steps for e in outcome.trained.history[before:]),
                seconds=seconds,
            )
            steps.append(with_gold(step) if gold_every and number % gold_every == 0 else step)
            for callback in callbacks:
                callback.on_step(number)
        if not ended:
            all_came = len(arrived) == stream.requests
            ended = f"{stream.requests} requests" if all_came else "nobody had anything left to ask for"
        if gold_every and steps and math.isnan(steps[-1].gold):
            steps[-1] = with_gold(steps[-1])
    finally:
        for callback in callbacks:
            callback.on_end()
    return Endurance(
        stream=repr(stream),
        steward=f"{steward.unlearner!r}, {steward.healer!r}",
        seed=seed,
        original=original.score(test),
        training_steps=sum(e.steps for e in original.history),
        steps=tuple(steps),
        ended=ended,
        percent=task.scores_are_shares,
    )


def _gold(steward: Steward, original: Trained, left: Samples) -> Trained:
    """The first training again, without what was forgotten."""
    task = original.task.task if isinstance(original.task, EnsembleTask) else original.task
    return steward.unlearner.fit(task, left, original.recipe, seed=original.seed)


def _worst_class(trained: Trained, test: Samples) -> float:
    labels = trained.task.labels(test.targets)
    if labels is None:
        return math.nan
    scores: Tensor = trained.evaluate(test).scores
    return min(float(scores[labels == c].mean()) for c in torch.unique(labels))


def _membership(trained: Trained, forgotten: Samples, unseen: Samples) -> float:
    labels, others = (trained.task.labels(part.targets) for part in (forgotten, unseen))
    theirs, new = (trained.evaluate(part).margins for part in (forgotten, unseen))
    return membership_auc(theirs, new, labels, others)
