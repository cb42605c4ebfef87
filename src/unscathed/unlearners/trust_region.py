"""The trust region: how much of a step retained samples can afford."""

from __future__ import annotations

import math

from torch import Tensor

from unscathed.unlearners.drift import Drift


def affordable_share(drift: Drift, original: Tensor, step: Tensor, budget: float) -> tuple[float, float]:
    """The share of a step, up to all of it, that spends the budget and no more, and what the whole step would cost.

    Found by bisection to 2 %, and measured: what is returned stays within the budget however drift goes along the step.
    It is 0 where not even 10⁻¹⁸ of the step does.

    Args:
        drift: of candidates from the original.
        original: the original's parameters, [p].
        step: [p].
        budget: the mean divergence that the step may cost, nats.
    """

    def cost(share: float) -> float:
        return drift(drift.function.unflatten(original + share * step))

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
