"""The trust region: how much of a step retained samples can afford."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from unscathed.training import Trained
from unscathed.unlearners.drift import Drift


def affordable_share(cost: Callable[[float], float], budget: float) -> tuple[float, float]:
    """The share of a step, up to all of it, that spends the budget and no more, and what the whole step would cost.

    Found by bisection to 2 %, and measured: what is returned stays within the budget however drift goes along the step.
    It is 0 where not even 10⁻¹⁸ of the step does.

    Args:
        cost: of a share of the step, the mean divergence from the original, nats.
        budget: the mean divergence that the step may cost, nats.
    """
    whole = cost(1.0)
    if whole <= budget:
        return 1.0, whole
    low, high = 0.5, 1.0
    while cost(low) > budget:
        low, high = low / 2, low
        if low < 1e-18:
            return 0.0, whole
    while high > 1.02 * low:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if cost(middle) <= budget else (low, middle)
    return low, whole


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

    share, whole = affordable_share(lambda s: drift.of(end if s == 1 else between(start, end, s)), budget)
    reached = end if share == 1 else start if share == 0 else between(start, end, share)
    return Move(reached, share, drift.of(reached), whole)


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
