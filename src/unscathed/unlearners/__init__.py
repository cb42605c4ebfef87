"""Unlearners: one method a file."""

from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.fisher import Fisher
from unscathed.unlearners.influence import Influence
from unscathed.unlearners.retrain import Retrain
from unscathed.unlearners.saliency import Saliency
from unscathed.unlearners.selective_dampening import SelectiveDampening
from unscathed.unlearners.sisa import Sisa

__all__ = ["Fisher", "Influence", "Retrain", "Saliency", "SelectiveDampening", "Sisa", "Unlearner"]
