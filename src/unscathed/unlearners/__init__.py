"""Unlearners: one method a file."""

from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.budget import BudgetSpentError
from unscathed.unlearners.certified_removal import CertifiedRemoval
from unscathed.unlearners.fisher import Fisher
from unscathed.unlearners.gradient_ascent import GradientAscent
from unscathed.unlearners.influence import Influence
from unscathed.unlearners.neg_grad_plus import NegGradPlus
from unscathed.unlearners.retrain import Retrain
from unscathed.unlearners.saliency import Saliency
from unscathed.unlearners.scrub import Scrub
from unscathed.unlearners.selective_dampening import SelectiveDampening
from unscathed.unlearners.short_retraining import ShortRetraining
from unscathed.unlearners.sisa import Sisa

__all__ = [
    "BudgetSpentError",
    "CertifiedRemoval",
    "Fisher",
    "GradientAscent",
    "Influence",
    "NegGradPlus",
    "Retrain",
    "Saliency",
    "Scrub",
    "SelectiveDampening",
    "ShortRetraining",
    "Sisa",
    "Unlearner",
]
