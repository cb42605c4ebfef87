"""Unlearners: one method a file."""

from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.certified_removal import CertifiedRemoval
from unscathed.unlearners.fisher import Fisher
from unscathed.unlearners.influence import Influence
from unscathed.unlearners.retrain import Retrain
from unscathed.unlearners.sisa import Sisa

__all__ = ["CertifiedRemoval", "Fisher", "Influence", "Retrain", "Sisa", "Unlearner"]
