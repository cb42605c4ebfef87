"""Pilots: healings of the user's own model on the user's own data, by which the reserve is planned."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import Any

from unscathed.adversaries import Adversary
from unscathed.healing import Healer
from unscathed.planning.campaign import Campaign, Standing, by_class, mean_distance
from unscathed.planning.conclusion import conclude
from unscathed.planning.plan import Question, ReservePlan
from unscathed.planning.points import PilotPoint
from unscathed.planning.requests import Requests
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.similarity import Similarity
from unscathed.task import Task
from unscathed.training import Callback, Recipe
from unscathed.training.seeds import derive
from unscathed.unlearners import Unlearner


def plan_reserve(
    task: Task,
    samples: Samples,
    test: Samples,
    recipe: Recipe,
    *,
    adversary: Adversary[Any] | None = None,
    rate: int | None = None,
    horizon: int,
    tolerance: float,
    unlearner: Unlearner,
    healer: Healer | None = None,
    sizes: Sequence[float] = (0.05, 0.1, 0.2),
    seeds: Sequence[int] = (0, 1, 2),
    similarity: Similarity | None = None,
    validation: Samples | None = None,
    pilot: float = 1.0,
    requests: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> ReservePlan:
    """How large the reserve must be so that the model, healed after many requests, stays near gold.

    For each size and seed: a reserve is held back, a model trained, requests arrive one after the other and are
    unlearned and healed, and gold is trained at the end. A control honours the same requests, healed on retained data
    alone for as many steps. A pilot thus costs two trainings, and twice its requests. Scores say nothing of whether
    the forgotten are forgotten: audit what comes of a request.

    Args:
        task: what the model is for.
        samples: all that there is to train on and to hold back from.
        test: held-out samples that scores are of.
        recipe: how the model is trained.
        adversary: who asks, each time with its budget; what it draws at random is drawn anew for each seed.
        rate: in its place, how many samples each of many random requests names.
        horizon: how many requests the reserve must last for.
        tolerance: how far the mean score may lie below gold's, in the score's own units (0.01: one percentage point of
            accuracy).
        unlearner: how the model forgets.
        healer: how it is healed, with twins; by default `Healer()`.
        sizes: of the reserve, as shares of the samples.
        seeds: at least two; five and more give intervals that are of use.
        similarity: what makes a spare a twin.
        validation: held-out samples whose loss a parameter-aware adversary raises. By default ``test``: then it, and
            through it the twins, are chosen by what is measured on, and losses and gains come out larger.
        pilot: the share of the samples that pilots run on, drawn by class for each seed.
        requests: how many requests each pilot runs, by default the whole horizon; losses are taken to grow in
            proportion.
        callbacks: progress, pilot by pilot and within.

    Raises:
        BadInputError: something that was handed in cannot be worked with; all of it is named before work starts.
    """
    asked = Requests(adversary=adversary, rate=rate)
    campaign = Campaign(
        task=task, test=test, validation=test if validation is None else validation, recipe=recipe, requests=asked,
        unlearner=unlearner, healer=healer or Healer(), similarity=similarity,
    )  # fmt: skip
    piloted = horizon if requests is None else requests
    problems = Problems("cannot plan the reserve")
    problems.extend(campaign.problems(samples))
    problems.require(horizon >= 1, f"horizon={horizon} must be at least 1 request")
    problems.require(
        requests is None or 1 <= requests <= horizon, f"requests={requests} must lie between 1 and horizon={horizon}"
    )
    problems.require(
        math.isfinite(tolerance) and tolerance > 0,
        f"tolerance={tolerance} must be a positive number, in units of score",
    )
    problems.extend(problems_with_seeds(seeds, least=2))
    problems.extend(_problems_with_sizes(sizes, samples, pilot, asked, piloted))
    problems.raise_any()

    question = Question(
        requests=str(asked),
        horizon=horizon,
        tolerance=tolerance,
        samples=by_class(task, samples),
        piloted=piloted,
        pilot=pilot,
        scale=1 / pilot if asked.fixed is None else asked.fixed / (asked.size(pilot) or 1),
        percent=task.scores_are_shares,
    )
    points = []
    grid = list(product(sorted(sizes), seeds))
    for callback in callbacks:
        callback.on_start("pilots", len(grid))
    try:
        for done, (share, seed) in enumerate(grid, start=1):
            points.append(_run(campaign, samples, share, seed, pilot, piloted, callbacks))
            for callback in callbacks:
                callback.on_step(done)
    finally:
        for callback in callbacks:
            callback.on_end()
    return conclude(points, question)


def _run(
    campaign: Campaign,
    samples: Samples,
    share: float,
    seed: int,
    pilot: float,
    piloted: int,
    callbacks: Sequence[Callback],
) -> PilotPoint:
    part = part_of(samples, pilot, seed)
    run = campaign.run(part, share=share, seed=seed, scale=pilot, callbacks=callbacks)
    for _, standing in zip(range(piloted), run, strict=False):  # noqa: B007
        pass
    return _measured(standing, share, callbacks)


def _measured(standing: Standing, share: float, callbacks: Sequence[Callback]) -> PilotPoint:
    test = standing.campaign.test
    missing: Counter[str] = Counter()
    for twins in standing.twins:
        missing.update(standing.counts(twins.missing))
    short = [number for number, twins in enumerate(standing.twins, start=1) if twins.missing]
    return PilotPoint(
        share=share,
        seed=standing.seed,
        spares=len(standing.reserve.spares),
        forgotten=len(standing.forgotten),
        original=standing.original.score(test),
        gold=standing.gold(callbacks).score(test),
        healed=standing.healed.score(test),
        control=standing.control.score(test),
        distance=mean_distance(standing.twins),
        asked=standing.counts(standing.forgotten),
        held=by_class(standing.campaign.task, standing.reserve.spares),
        missing=dict(missing),
        ran_out=short[0] if short else None,
    )


def part_of(samples: Samples, share: float, seed: int) -> Samples:
    """A share of the samples, by class."""
    if share == 1:
        return samples
    return samples.split(reserve=share, seed=derive(seed, "pilot") % 2**32)[1]


def problems_with_seeds(seeds: Sequence[int], *, least: int) -> list[str]:
    """What is wrong with the seeds of repeated runs, one sentence each."""
    problems = Problems("")
    problems.require(len(seeds) >= least, f"seeds={tuple(seeds)} are too few; give at least {least}")
    problems.require(len(set(seeds)) == len(seeds), f"seeds={tuple(seeds)} must be distinct")
    problems.require(all(0 <= s < 2**32 for s in seeds), f"seeds={tuple(seeds)} must lie in 0…{2**32 - 1}")
    return problems.found


def _problems_with_sizes(
    sizes: Sequence[float], samples: Samples, pilot: float, asked: Requests, piloted: int
) -> list[str]:
    problems = Problems("")
    problems.require(len(sizes) > 0, "sizes are empty; give shares of the samples, e.g. (0.05, 0.1, 0.2)")
    problems.require(len(set(sizes)) == len(sizes), f"sizes={tuple(sizes)} must be distinct")
    fit = problems.require(
        all(0 < share < 1 for share in sizes), f"sizes={tuple(sizes)} must be shares between 0 and 1"
    )
    if not problems.require(0 < pilot <= 1, f"pilot={pilot} must be a share of the samples, 0 < pilot ≤ 1"):
        return problems.found
    fixed = asked.fixed
    if fixed is not None and fixed >= 1:
        problems.require(
            fixed * pilot >= 1,
            f"pilot={pilot} shrinks requests of {fixed} samples to less than one; give at least {1 / fixed:.3g}",
        )
    if fit and sizes:
        count = round(pilot * len(samples))
        problems.require(
            round(min(sizes) * count) >= 1,
            f"a reserve of {min(sizes)} holds none of a pilot's {count} samples; raise pilot or the smallest size",
        )
        train = count - round(max(sizes) * count)
        if not asked.problems():
            possible = asked.possible(train, pilot)
            problems.require(
                piloted <= possible,
                f"after {possible} requests too few are left of the {train} samples that a pilot trains on beside its "
                f"largest reserve, and {piloted} are to be run; give fewer requests or smaller sizes",
            )
    return problems.found
