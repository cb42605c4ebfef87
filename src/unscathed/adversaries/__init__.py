"""Adversaries: who chooses what must be forgotten, or makes it up, from views, and who poisons."""

from unscathed.adversaries.base import Adversary, Ranking
from unscathed.adversaries.blind import OneClass, Random
from unscathed.adversaries.camouflage import CamouflagedBackdoor, Contribution
from unscathed.adversaries.canaries import plant_canaries
from unscathed.adversaries.crafting import Crafter
from unscathed.adversaries.fisher_weights import FisherWeights
from unscathed.adversaries.forgetting_events import ForgettingEvents
from unscathed.adversaries.gradient_matching import GradientMatching
from unscathed.adversaries.highest_confidence import HighestConfidence
from unscathed.adversaries.highest_loss import HighestLoss
from unscathed.adversaries.influential import Influential
from unscathed.adversaries.memorised import Memorised
from unscathed.adversaries.outliers import Outliers
from unscathed.adversaries.output_aware import OutputAware
from unscathed.adversaries.outsiders import Outsider, QueryingOutsider
from unscathed.adversaries.parameter_aware import ParameterAware
from unscathed.adversaries.perturbed_copies import PerturbedCopies
from unscathed.adversaries.poisoning import Backdoored, Hubs, Mislabelled, NearDuplicates, Poisoning
from unscathed.adversaries.prototypes import Prototypes
from unscathed.adversaries.rare_subgroups import RareSubgroups
from unscathed.adversaries.representative import Representative
from unscathed.adversaries.slow_down import CertificateBreaking, EarliestSlices, LayoutView
from unscathed.adversaries.snapshots import fit_watched
from unscathed.adversaries.surrogate_greedy import SurrogateGreedy
from unscathed.adversaries.views import BlindView, OutputView, ParameterView, QueryBudgetError, ServiceView
from unscathed.adversaries.whole_holdings import WholeHoldings
from unscathed.adversaries.worst_case import WorstCase

__all__ = [
    "Adversary",
    "Backdoored",
    "BlindView",
    "CamouflagedBackdoor",
    "CertificateBreaking",
    "Contribution",
    "Crafter",
    "EarliestSlices",
    "FisherWeights",
    "ForgettingEvents",
    "GradientMatching",
    "HighestConfidence",
    "HighestLoss",
    "Hubs",
    "Influential",
    "LayoutView",
    "Memorised",
    "Mislabelled",
    "NearDuplicates",
    "OneClass",
    "Outliers",
    "OutputAware",
    "OutputView",
    "Outsider",
    "ParameterAware",
    "ParameterView",
    "PerturbedCopies",
    "Poisoning",
    "Prototypes",
    "QueryBudgetError",
    "QueryingOutsider",
    "Random",
    "Ranking",
    "RareSubgroups",
    "Representative",
    "ServiceView",
    "SurrogateGreedy",
    "WholeHoldings",
    "WorstCase",
    "fit_watched",
    "plant_canaries",
]
