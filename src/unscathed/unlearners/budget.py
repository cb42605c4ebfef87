"""The budget: how far a model may drift over all requests since it was last fitted or healed."""

from __future__ import annotations

import math

from unscathed.problems import BadInputError
from unscathed.training import Trained

SPENT = 0.01
"""Where no more than this share of a budget is left (a tenth of the way that it allows), no request can be honoured."""
LITTLE = 0.25
"""Where less than this share is left (half of the way), a warning says so."""
WHAT_TO_DO = "heal the model first (Healer), honour requests together, raise kl_budget, or retrain (Retrain)"


class BudgetSpentError(BadInputError):
    """Requests since the model was last fitted or healed have used up what drift is allowed; nothing has changed."""


def way_since_healing(trained: Trained) -> float:
    """How far requests have moved a model since it was last fitted, retrained or healed: the sum of √kl, √nats.

    The root of a divergence behaves as a length: near a model, KL is half a squared norm. So what requests cost one
    after the other adds up, as roots, to no less than what they cost together (`left_of`). Events of methods that do
    not say what they cost count for nothing.
    """
    way = 0.0
    for event in reversed(trained.history):
        if event.kind != "unlearned" or event.details.get("retrained"):
            break
        way += math.sqrt(max(0.0, event.details.get("kl") or 0.0))
    return way


def left_of(budget: float, trained: Trained) -> float:
    """What is left of a budget for the next request, nats: ``(√budget - Σ √kl)²``, and 0 once it is spent.

    Args:
        budget: nats, for all requests since the model was last fitted or healed.
        trained: the model, whose history says what they have cost.
    """
    way = way_since_healing(trained)
    return max(0.0, math.sqrt(budget) - way) ** 2 if way else budget


def in_words(budget: float, left: float) -> str:
    """A budget, and what is left of it where that is less, for messages."""
    return f"kl_budget={budget}" + ("" if left >= budget else f", of which {left:.2g} are left since the last healing")
