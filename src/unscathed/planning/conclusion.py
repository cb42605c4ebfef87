"""Conclusion: from pilot points to a size, without a model in sight."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from unscathed.planning.curve import Curve, Mean, crossing, fit_curve, mean_of
from unscathed.planning.plan import Limit, Question, ReservePlan
from unscathed.planning.points import PilotPoint
from unscathed.planning.text import estimate, number


def conclude(points: Iterable[PilotPoint], question: Question) -> ReservePlan:
    """The smallest reserve that these pilots show to hold.

    Args:
        points: of one or more sizes, of which at least one has two seeds.
        question: what was asked.
    """
    measured = tuple(sorted(points, key=lambda p: (p.share, p.seed)))
    curve = fit_curve((p.share, p.loss * question.stretch) for p in measured)
    needs = _needs(measured, question)
    needed = {name: max(need[name] for need in needs.values()) for name in question.samples}
    by_seed = [_share(need, question) for need in needs.values()]
    for_everyone = max(by_seed)
    holds = crossing(curve.shares, curve.limit, question.tolerance)
    limit: Limit
    share: float | None
    if holds is None:
        limit, share = "nothing holds", None
    elif curve.limit[0] <= question.tolerance:
        limit, share = "exhaustion", for_everyone
    elif question.stretch > 1 and for_everyone > holds:
        # What the pilots did not reach, they did not lose to: there must be twins for it.
        limit, share = "exhaustion", for_everyone
    else:
        limit, share = "loss", holds
    if limit == "exhaustion" and not _possible(for_everyone, needed, question):
        share = None
    size = None if share is None else _spares(share, question)
    interval: tuple[int, int | None]
    if limit == "exhaustion":
        interval = _spares(min(by_seed), question), _spares(for_everyone, question)
    else:
        interval = _interval(curve, question)
    aid = _help(measured, question)
    reasons = [
        *_decision(measured, curve, question, limit, for_everyone, needed),
        *_role_of_twins(measured, question, aid),
        *_role_of_gold(measured, question),
        *_reach(curve, question, share),
    ]
    return ReservePlan(
        question=question, points=measured, curve=curve, size=size, share=share, interval=interval, limit=limit,
        needed=needed, help=aid, reasons=tuple(reasons),
    )  # fmt: skip


def _spares(share: float, question: Question) -> int:
    # Rounded first, since a share of a whole number of spares may miss it by the last bit.
    return math.ceil(round(share * question.total, 6))


def _needs(points: Sequence[PilotPoint], question: Question) -> dict[int, dict[str, int]]:
    """By seed, the spares of each class that its requests ask for over the horizon, at the size where that is most."""
    most: defaultdict[int, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for point in points:
        for name in question.samples:
            most[point.seed][name] = max(most[point.seed][name], point.asked.get(name, 0))
    scale = question.scale * question.stretch
    return {s: {name: math.ceil(round(n * scale, 6)) for name, n in asked.items()} for s, asked in most.items()}


def _share(need: dict[str, int], question: Question) -> float:
    """The share of the samples, each class's alike, that holds so many of each class."""
    return max(need[name] / count for name, count in question.samples.items())


def _possible(share: float, needed: dict[str, int], question: Question) -> bool:
    """Whether beside such a reserve enough is trained on for all that is asked for."""
    return _spares(share, question) + sum(needed.values()) <= question.total


def _interval(curve: Curve, question: Question) -> tuple[int, int | None]:
    lowest = crossing(curve.shares, curve.low, question.tolerance)
    highest = crossing(curve.shares, curve.high, question.tolerance)
    if lowest is None:
        low = _spares(curve.shares[-1], question)
    else:
        # Where even the smallest may hold, so may any smaller one.
        low = 0 if lowest == curve.shares[0] else math.floor(lowest * question.total)
    return low, None if highest is None else _spares(highest, question)


def _help(points: Sequence[PilotPoint], question: Question) -> Mean:
    """How much less is lost with twins than without, averaged over each seed's sizes."""
    by_seed: defaultdict[int, list[float]] = defaultdict(list)
    for point in points:
        by_seed[point.seed].append((point.control_loss - point.loss) * question.stretch)
    return mean_of(sum(values) / len(values) for values in by_seed.values())


def _decision(
    points: Sequence[PilotPoint],
    curve: Curve,
    question: Question,
    limit: Limit,
    for_everyone: float,
    needed: dict[str, int],
) -> list[str]:
    tolerated = number(question.tolerance, question.percent, "")
    smallest, largest = f"{curve.shares[0]:.1%}", f"{curve.shares[-1]:.1%}"
    everyone = (
        f"twins for everyone over the horizon take {sum(needed.values())} spares "
        f"({', '.join(f'{name}: {count}' for name, count in needed.items() if count)}); held back in the classes' own "
        f"proportions, {for_everyone:.1%} of the samples"
    )
    if not _possible(for_everyone, needed, question):
        everyone += ", and with what is asked for that is more than there is: no reserve lasts for this horizon"
    if limit == "loss":
        return [f"from this size on the loss is at most {tolerated} with 95 % confidence", everyone]
    if limit == "nothing holds":
        return [
            f"of the sizes that were tried ({smallest} to {largest}) none keeps the loss within {tolerated} with 95 % "
            "confidence; try larger ones, more seeds (intervals shrink), a longer healing or another unlearner",
            everyone,
        ]
    if curve.limit[0] > question.tolerance:
        return [
            f"the loss is at most {tolerated} from a smaller size on, but the reserve would run out before the horizon",
            everyone,
        ]
    reasons = [
        f"every size that was tried, from {smallest} on, keeps the loss within {tolerated} with 95 % confidence: the "
        "loss sets no limit here, and the size given is the one that runs out for nobody",
        everyone,
    ]
    out = [p for p in points if p.share == curve.shares[0] and p.ran_out is not None]
    if out:
        reasons.append(
            f"the loss was tolerable even where the reserve of {smallest} ran out ({len(out)} of "
            f"{sum(p.share == curve.shares[0] for p in points)} pilots): for the loss alone, not everyone needs a twin"
        )
    return reasons


def _role_of_twins(points: Sequence[PilotPoint], question: Question, aid: Mean) -> list[str]:
    shown = f"{estimate(aid, question.percent)} less lost than by healing on retained data alone for as many steps"
    if aid.low > 0:
        reasons = [f"twins help: {shown}"]
    elif aid.high < 0:
        reasons = [f"twins harm: {shown}; the reserve is not what helps, and Healer(strategy='retain') is better"]
    else:
        reasons = [f"the reserve is not what helps, as far as {aid.n} seeds tell: {shown}"]
    control = fit_curve((p.share, p.control_loss * question.stretch) for p in points)
    if control.limit[0] <= question.tolerance:
        reasons.append(
            "healing on retained data alone keeps the loss tolerated just as well: for the loss, no reserve is needed "
            "(Healer(strategy='retain'))"
        )
    return reasons


def _role_of_gold(points: Sequence[PilotPoint], question: Question) -> list[str]:
    """What losses against gold leave out: that gold itself suffers from requests, and from what is held back."""
    reasons = []
    fall = mean_of(p.original - p.gold for p in points).mean
    if fall > question.tolerance:
        reasons.append(
            f"gold itself lies {number(fall, question.percent, '')} below the model before all requests: whoever asks "
            "does this much whatever is held back, and losses do not count it"
        )
    above = -mean_of(p.loss for p in points).mean
    if above > question.tolerance:
        reasons.append(
            f"healed models lie {number(above, question.percent, '')} above gold, which never saw the forgotten: twins "
            "may give this, or memory of what was to be forgotten; audit them before this passes for healing"
        )
    shares = sorted({p.share for p in points})
    if len(shares) > 1:
        least, most = (mean_of(p.gold for p in points if p.share == s).mean for s in (shares[0], shares[-1]))
        reasons.append(
            "what is held back is not trained on: gold itself scores "
            f"{number(least, question.percent, '')} beside a reserve of {shares[0]:.1%} and "
            f"{number(most, question.percent, '')} beside one of {shares[-1]:.1%}, and losses do not count this"
        )
    return reasons


def _reach(curve: Curve, question: Question, share: float | None) -> list[str]:
    """How far the plan goes beyond what was measured."""
    reasons = []
    if share is not None and not curve.shares[0] <= share <= curve.shares[-1]:
        reasons.append(
            f"extrapolated: {share:.1%} lies outside the sizes that were tried ({curve.shares[0]:.1%} to "
            f"{curve.shares[-1]:.1%})"
        )
    if question.stretch > 1:
        reasons.append(
            f"extrapolated: pilots ran {question.piloted} of {question.horizon} requests, and losses and twins were "
            f"taken to grow in proportion (×{question.stretch:.3g})"
        )
    if question.pilot < 1:
        reasons.append(
            f"extrapolated: pilots ran on {question.pilot:.1%} of the samples, and the same shares were taken to do on "
            "all of them; a model trained on more may lose less, or more"
        )
    return reasons or ["not extrapolated: pilots ran on all samples over the whole horizon"]
