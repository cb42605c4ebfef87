"""The safer road: how requests are honoured that look like attacks."""

from __future__ import annotations

from dataclasses import dataclass

from unscathed.healing import HealingMethod
from unscathed.problems import UnscathedError
from unscathed.screening.triage import Assessment
from unscathed.unlearners import Unlearner


class NeedsReviewError(UnscathedError):
    """A request looks like an attack, and a person has to look at it before it is honoured; nothing has changed.

    Args:
        assessment: what the screens make of it.
    """

    def __init__(self, assessment: Assessment) -> None:
        super().__init__(f"the request waits for a person: {assessment}; honour it with forget(…, reviewed=True)")
        self.assessment = assessment


@dataclass(frozen=True, kw_only=True)
class SaferRoad:
    """How requests are honoured that look like attacks. They are honoured: a legal request is never refused.

    Args:
        unlearner: forgets in place of the ordinary one (`Retrain`, which damages nothing, say); None for the same.
        healer: heals in place of the ordinary one (for longer, say); None for the same.
        review: whether a person has to look at the request first (`NeedsReviewError`).
    """

    unlearner: Unlearner | None = None
    healer: HealingMethod | None = None
    review: bool = False
