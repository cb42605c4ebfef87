"""Non-members: which samples that a model never saw may stand beside the forgotten."""

from __future__ import annotations

FAIR_UP_TO = 0.1
"""Of a reserve, what may be spent before what is left is no fair sample of it. With a quarter spent by a random request
gold scores 3 points higher on the forgotten than on what is left, with a half 16 (CIFAR-10; `docs/audits.md`)."""
LEFT_OVER = (
    "They are the spares that matching left, less typical than the forgotten, so that a model that has forgotten may "
    "fail beside them: give test=… or unseen=…."
)


def is_fair(left: int, spent: int) -> bool:
    """Whether the spares that are left of a reserve are like those that were never matched.

    Matching takes the spares that are like the forgotten, typical ones before others; what it leaves is harder. Beside
    harder samples, the forgotten look known, whatever the model.

    Args:
        left: how many spares are left.
        spent: how many were taken.
    """
    return spent <= FAIR_UP_TO * (left + spent)
