"""Depletion: how well healing works, and how far the twins are, while the reserve is spent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unscathed.adversaries import Adversary
from unscathed.healing import Healer
from unscathed.planning.campaign import Campaign, Standing, mean_distance
from unscathed.planning.curve import Mean, mean_of
from unscathed.planning.pilots import problems_with_seeds
from unscathed.planning.requests import Requests
from unscathed.planning.text import estimate, number, whiskers
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.similarity import Similarity
from unscathed.task import Task
from unscathed.training import Callback, Recipe
from unscathed.unlearners import Unlearner


@dataclass(frozen=True, kw_only=True)
class DepletionRow:
    """One seed's models after the first request by which so much of the reserve was spent.

    Args:
        seed: of the split, of training and of who asks.
        level: the share of the reserve that was waited for.
        spent: the share that was spent.
        requests: how many there had been.
        forgotten: how many samples they named.
        missing: how many of these got no twin.
        original: mean score on test before all requests.
        gold: of the model trained without the forgotten.
        healed: of the healed model.
        control: of the model healed on retained data alone for as many steps.
        distance: mean twin distance since the level before; NaN where there were no twins.
    """

    seed: int
    level: float
    spent: float
    requests: int
    forgotten: int
    missing: int
    original: float
    gold: float
    healed: float
    control: float
    distance: float


@dataclass(frozen=True, kw_only=True)
class Depletion:
    """What becomes of healing while the reserve is spent.

    Args:
        requests: what arrived, in words.
        share: of the samples that was held back.
        levels: shares of the reserve that were waited for.
        seeds: of the runs.
        rows: one a level and seed that was reached.
        percent: whether scores are shares, to be shown in percent.
    """

    requests: str
    share: float
    levels: tuple[float, ...]
    seeds: tuple[int, ...]
    rows: tuple[DepletionRow, ...]
    percent: bool = True

    def at(self, level: float) -> tuple[DepletionRow, ...]:
        """The rows of one level, by seed."""
        return tuple(row for row in self.rows if row.level == level)

    def loss(self, level: float) -> Mean:
        """How far healed models lie below gold at a level, over the seeds that reached it."""
        return mean_of(row.gold - row.healed for row in self.at(level))

    def control_loss(self, level: float) -> Mean:
        """How far the controls do."""
        return mean_of(row.gold - row.control for row in self.at(level))

    def gain(self, level: float) -> Mean:
        """How much higher healed models score than their controls, paired by seed."""
        return mean_of(row.healed - row.control for row in self.at(level))

    def distance(self, level: float) -> Mean:
        """How far twins were since the level before, over the seeds that had any."""
        return mean_of(row.distance for row in self.at(level) if not math.isnan(row.distance))

    def __str__(self) -> str:
        reached = [level for level in self.levels if self.at(level)]
        lines = [f"a reserve of {self.share:.1%} is spent on {self.requests}, {len(self.seeds)} seeds"]
        lines.append(
            f"  {'spent':>5}  {'loss [95 %]':<24}  {'0 is marked':<36}  {'gain by twins [95 %]':<24}  {'gold':<6}  "
            "distance  requests  missing  seeds"
        )
        drawn = whiskers([self.loss(level) for level in reached], (0.0,)) if reached else []
        for level, drawing in zip(reached, drawn, strict=True):
            rows = self.at(level)
            far = [row.distance for row in rows if not math.isnan(row.distance)]
            gold, requests, missing = (
                sum(getattr(row, name) for row in rows) / len(rows) for name in ("gold", "requests", "missing")
            )
            lines.append(
                f"  {level:>5.0%}  {estimate(self.loss(level), self.percent):<24}  {drawing}  "
                f"{estimate(self.gain(level), self.percent):<24}  {number(gold, self.percent, ''):<6}  "
                f"{mean_of(far).mean if far else math.nan:<8.4f}  {requests:<8.3g}  {missing:<7.3g}  {len(rows)}"
            )
        for level in self.levels:
            lacking = len(self.seeds) - len(self.at(level))
            if lacking:
                lines.append(f"  - {level:.0%} was not reached with {lacking} seeds: nothing was left to ask for")
        return "\n".join([*lines, *(f"  - {remark}" for remark in self._remarks(reached))])

    def _remarks(self, reached: Sequence[float]) -> list[str]:
        """What the levels show for certain; nothing, where there are none."""
        if not reached:
            return []
        gains = {level: self.gain(level) for level in reached}
        helps = [f"{level:.0%}" for level, gain in gains.items() if gain.low > 0]
        harms = [f"{level:.0%}" for level, gain in gains.items() if gain.high < 0]
        above = [f"{level:.0%}" for level in reached if self.loss(level).high < 0]
        remarks = [f"twins help, against retained data alone, at {', '.join(helps)}"] if helps else []
        remarks += [f"twins harm, against retained data alone, at {', '.join(harms)}"] if harms else []
        remarks += [] if helps or harms else ["twins change nothing for certain, against retained data alone"]
        if above:
            remarks.append(
                f"healed models lie above gold, which never saw the forgotten, at {', '.join(above)}: twins may give "
                "this, or memory of what was to be forgotten; audit them before this passes for healing"
            )
        return remarks

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        record = asdict(self)
        rows = [{name: None if value != value else value for name, value in row.items()} for row in record["rows"]]
        return {**record, "levels": list(self.levels), "seeds": list(self.seeds), "rows": rows}


def depletion(
    task: Task,
    samples: Samples,
    test: Samples,
    recipe: Recipe,
    *,
    adversary: Adversary[Any] | None = None,
    rate: int | None = None,
    share: float = 0.1,
    levels: Sequence[float] = (0.1, 0.3, 0.5, 1.0),
    unlearner: Unlearner,
    healer: Healer | None = None,
    similarity: Similarity | None = None,
    validation: Samples | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    callbacks: Sequence[Callback] = (),
) -> Depletion:
    """Spend a reserve on requests, one after the other, and measure the model each time so much of it is gone.

    A seed's run ends with the last level, or where nothing is left to ask for (an adversary that asks for one class
    may never spend the spares of others). At each level gold is trained; the control is as in `plan_reserve`.

    Args:
        task: what the model is for.
        samples: all that there is to train on and to hold back from.
        test: held-out samples that scores are of.
        recipe: how the model is trained.
        adversary: who asks, each time with its budget; what it draws at random is drawn anew for each seed.
        rate: in its place, how many samples each of many random requests names.
        share: of the samples that is held back.
        levels: shares of the reserve, at which models are measured once so much is spent, or more.
        unlearner: how the model forgets.
        healer: how it is healed, with twins; by default `Healer()`.
        similarity: what makes a spare a twin.
        validation: held-out samples whose loss a parameter-aware adversary raises. By default ``test``: then it, and
            through it the twins, are chosen by what is measured on, and losses and gains come out larger.
        seeds: of the runs.
        callbacks: progress, run by run and within.

    Raises:
        BadInputError: something that was handed in cannot be worked with; all of it is named before work starts.
    """
    asked = Requests(adversary=adversary, rate=rate)
    campaign = Campaign(
        task=task, test=test, validation=test if validation is None else validation, recipe=recipe, requests=asked,
        unlearner=unlearner, healer=healer or Healer(), similarity=similarity,
    )  # fmt: skip
    problems = Problems("cannot measure depletion")
    problems.extend(campaign.problems(samples))
    problems.extend(problems_with_seeds(seeds, least=1))
    problems.require(len(levels) > 0, "levels are empty; give shares of the reserve, e.g. (0.1, 0.3, 0.5, 1.0)")
    problems.require(all(0 < level <= 1 for level in levels), f"levels={tuple(levels)} must lie above 0, up to 1")
    if problems.require(0 < share < 1, f"share={share} must be a share of the samples, between 0 and 1"):
        held = round(share * len(samples))
        problems.require(0 < held < len(samples), f"share={share} of {len(samples)} samples leaves one part empty")
        if not asked.problems():
            problems.require(
                asked.possible(len(samples) - held) >= 1,
                f"one request leaves none of the {len(samples) - held} samples trained on; ask for fewer at a time",
            )
    problems.raise_any()

    ordered = tuple(sorted(set(levels)))
    rows: list[DepletionRow] = []
    for callback in callbacks:
        callback.on_start("depletion", len(seeds))
    try:
        for done, seed in enumerate(seeds, start=1):
            rows += _rows(campaign.run(samples, share=share, seed=seed, callbacks=callbacks), ordered, callbacks)
            for callback in callbacks:
                callback.on_step(done)
    finally:
        for callback in callbacks:
            callback.on_end()
    return Depletion(
        requests=str(asked), share=share, levels=ordered, seeds=tuple(seeds), rows=tuple(rows),
        percent=task.scores_are_shares,
    )  # fmt: skip


def _rows(run: Iterator[Standing], levels: Sequence[float], callbacks: Sequence[Callback]) -> Iterator[DepletionRow]:
    waited, counted = list(levels), 0
    for standing in run:
        spent = len(standing.reserve.spent) / len(standing.reserve.spares)
        passed = [level for level in waited if spent >= level]
        if passed:
            test, fresh = standing.campaign.test, standing.twins[counted:]
            gold = standing.gold(callbacks).score(test)
            for level in passed:
                yield DepletionRow(
                    seed=standing.seed,
                    level=level,
                    spent=spent,
                    requests=len(standing.twins),
                    forgotten=len(standing.forgotten),
                    missing=sum(len(twins.missing) for twins in standing.twins),
                    original=standing.original.score(test),
                    gold=gold,
                    healed=standing.healed.score(test),
                    control=standing.control.score(test),
                    distance=mean_distance(fresh),
                )
            waited, counted = waited[len(passed) :], len(standing.twins)
        if not waited:
            return
