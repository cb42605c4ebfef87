"""Screening: requests are looked at before they are honoured, and what was never learned is not let in."""

from unscathed.screening.base import Score, Screen
from unscathed.screening.concentration import ClassConcentration, RegionConcentration
from unscathed.screening.membership import Admission, Door, Refusal
from unscathed.screening.price import Price
from unscathed.screening.safer_road import NeedsReviewError, SaferRoad
from unscathed.screening.triage import Assessment, Assessor, Triage
from unscathed.screening.wanted import Wanted

__all__ = [
    "Admission",
    "Assessment",
    "Assessor",
    "ClassConcentration",
    "Door",
    "NeedsReviewError",
    "Price",
    "Refusal",
    "RegionConcentration",
    "SaferRoad",
    "Score",
    "Screen",
    "Triage",
    "Wanted",
]
