"""Work: the pieces that an experiment is made of, shared by its cells and found again."""

from unscathed.lab.work.base import Bench, Kept, Work
from unscathed.lab.work.data import Data
from unscathed.lab.work.measurement import Measurement
from unscathed.lab.work.models import Gold, Open, Opened, Original, Retrained, Unlearned, original_for, unlearned_by
from unscathed.lab.work.requests import Choice, Match, SpareVectors, Values
from unscathed.lab.work.shadows import Shadow, shadows_of

__all__ = [
    "Bench",
    "Choice",
    "Data",
    "Gold",
    "Kept",
    "Match",
    "Measurement",
    "Open",
    "Opened",
    "Original",
    "Retrained",
    "Shadow",
    "SpareVectors",
    "Unlearned",
    "Values",
    "Work",
    "original_for",
    "shadows_of",
    "unlearned_by",
]
