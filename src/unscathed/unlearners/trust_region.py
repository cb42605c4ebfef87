"""The trust region: how much of a step retained samples can afford."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from scipy.optimize import brentq

from unscathed.training import Trained
from unscathed.unlearners.drift import Drift

NEAR = 0.96
"""A step is long enough where it costs at least this share of the budget: 2 % more of it, and it would cost it all."""
TOO_SHORT = 1e-18
"""Of the longest step: one that must be shorter than this is not taken."""

MOST = math.log(10)
"""How much longer or shorter, at most, a step is than the one before, while all were on one side of the budget."""


def furthest(cost: Callable[[float], float], budget: float, *, first: float, longest: float) -> tuple[float, float]:
    """The longest step that a budget affords, to 2 %, and what it costs; (0, 0) where none is affordable.

    Near a model, divergence grows as the square of a step, and further out as some other power: so the root is sought
    between logarithms (by Brent's method), in some four measurements where halving takes ten. Every step is measured:
    what is returned stays within the budget however drift goes along the way.

    Args:
        cost: of a step, nats; it may be infinite.
        budget: what it may cost, nats.
        first: the step to begin with.
        longest: the longest step there is.
    """
    best = (0.0, 0.0)
    if budget <= 0:
        return best
    known: dict[float, float] = {}

    def excess(place: float) -> float:
        """How far beyond the budget the step exp(place) is, in logarithms; 0 where it is near enough."""
        nonlocal best
        if place not in known:
            step = min(longest, math.exp(place))
            spent = cost(step)
            if spent <= budget:
                best = max(best, (step, spent))
            near = NEAR * budget <= spent <= budget
            known[place] = 0.0 if near else math.log(max(spent, 1e-30) / (budget * (1 + NEAR) / 2))
        return max(-100.0, min(100.0, known[place]))

    end, place, power = math.log(longest), math.log(min(first, longest)), 2.0
    while True:
        here = excess(place)
        if here == 0 or (here < 0 and place == end) or place < end + math.log(TOO_SHORT):
            return best
        ahead = min(end, place - max(-MOST, min(MOST, here / power)))
        there = excess(ahead)
        if there * here <= 0:
            break
        power = max(0.5, (there - here) / (ahead - place))
        place = ahead
    brentq(excess, min(place, ahead), max(place, ahead), xtol=math.log(1.01), rtol=1e-12)
    return best


class Affordable(NamedTuple):
    """How much of a step a budget affords.

    Args:
        share: of the whole step, in 0…1, to 2 % (`furthest`).
        kl: what it costs, nats.
        kl_of_whole: what the whole step would, nats.
    """

    share: float
    kl: float
    kl_of_whole: float


def affordable_share(cost: Callable[[float], float], budget: float) -> Affordable:
    """The share of a step, up to all of it, that spends the budget and no more.

    Args:
        cost: of a share of the step, the mean divergence from the original, nats.
        budget: the mean divergence that the step may cost, nats.
    """
    whole = cost(1.0)
    if whole <= budget:
        return Affordable(1.0, whole, whole)
    share, kl = furthest(lambda s: whole if s == 1 else cost(s), budget, first=1.0, longest=1.0)
    return Affordable(share, kl, whole)


@dataclass(frozen=True)
class Move:
    """The way from one model to another, as far as it may go.

    Args:
        reached: the model there.
        share: of the whole way, in 0…1.
        kl: the drift of ``reached``, nats.
        kl_of_whole: the drift at the end of the whole way, nats.
    """

    reached: Trained
    share: float
    kl: float
    kl_of_whole: float


def as_far_as(start: Trained, end: Trained, drift: Drift, budget: float | None) -> Move:
    """Go straight from one model's weights to another's, and stop where the budget is spent.

    Statistics of norms go along; weights that are the same at both ends keep their bits.

    Args:
        start: a model that is within the budget.
        end: one that may not be.
        drift: from the original.
        budget: nats; None goes all the way.
    """
    if budget is None:
        whole = drift.of(end)
        return Move(end, 1.0, whole, whole)

    found = affordable_share(lambda s: drift.of(end if s == 1 else between(start, end, s)), budget)
    if found.share == 0:
        return Move(start, 0.0, drift.of(start), found.kl_of_whole)
    reached = end if found.share == 1 else between(start, end, found.share)
    return Move(reached, found.share, found.kl, found.kl_of_whole)


def between(start: Trained, end: Trained, share: float) -> Trained:
    """The end's model with weights on the line from the start's; what is no floating-point number is the end's.

    Args:
        start: where the line begins.
        end: where it ends.
        share: of the way.
    """
    weights = {
        name: weight.lerp(end.weights[name], share) if weight.is_floating_point() else end.weights[name]
        for name, weight in start.weights.items()
    }
    return replace(end, weights=weights)
