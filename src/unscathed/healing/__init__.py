"""Healing: what makes an unlearned model whole."""

from unscathed.healing.healer import Healer, Strategy
from unscathed.healing.layers import AllLayers, HeadFirst, HealedLayers, LowRank
from unscathed.healing.objectives import Distillation, HealingObjective, OwnLoss
from unscathed.healing.until import Until

__all__ = [
    "AllLayers",
    "Distillation",
    "HeadFirst",
    "HealedLayers",
    "Healer",
    "HealingObjective",
    "LowRank",
    "OwnLoss",
    "Strategy",
    "Until",
]
