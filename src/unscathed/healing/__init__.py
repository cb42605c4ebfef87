"""Healing: what makes an unlearned model whole."""

from unscathed.healing.alternation import Alternation
from unscathed.healing.base import HealingMethod
from unscathed.healing.case import Case
from unscathed.healing.consolidation import Consolidation, Wear, consolidate
from unscathed.healing.damage import Damage, diagnose
from unscathed.healing.escalation import Escalation
from unscathed.healing.healer import Healer, Strategy
from unscathed.healing.layers import AllLayers, HeadFirst, HealedLayers, LowRank
from unscathed.healing.memory import MemorySignal
from unscathed.healing.objectives import Distillation, HealingObjective, OwnLoss
from unscathed.healing.oracle_matching import OracleMatching
from unscathed.healing.remedy import Remedy
from unscathed.healing.repair import graft_layers, recalibrate, reset_layers
from unscathed.healing.rungs import Heal, Repair, Resume, Rung, StartOver
from unscathed.healing.traces import LayerDamage
from unscathed.healing.typicality import Typicality, typical_spares
from unscathed.healing.until import Until
from unscathed.healing.watchful import Watchful

__all__ = [
    "AllLayers",
    "Alternation",
    "Case",
    "Consolidation",
    "Damage",
    "Distillation",
    "Escalation",
    "HeadFirst",
    "Heal",
    "HealedLayers",
    "Healer",
    "HealingMethod",
    "HealingObjective",
    "LayerDamage",
    "LowRank",
    "MemorySignal",
    "OracleMatching",
    "OwnLoss",
    "Remedy",
    "Repair",
    "Resume",
    "Rung",
    "StartOver",
    "Strategy",
    "Typicality",
    "Until",
    "Watchful",
    "Wear",
    "consolidate",
    "diagnose",
    "graft_layers",
    "recalibrate",
    "reset_layers",
    "typical_spares",
]
