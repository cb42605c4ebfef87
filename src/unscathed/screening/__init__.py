"""Screening: requests are looked at before they are honoured."""

from unscathed.screening.base import Score, Screen
from unscathed.screening.concentration import ClassConcentration, RegionConcentration
from unscathed.screening.price import Price
from unscathed.screening.triage import Assessment, Assessor, Triage
from unscathed.screening.wanted import Wanted

__all__ = [
    "Assessment",
    "Assessor",
    "ClassConcentration",
    "Price",
    "RegionConcentration",
    "Score",
    "Screen",
    "Triage",
    "Wanted",
]
