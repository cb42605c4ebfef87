"""Adversaries: who chooses what must be forgotten, from views, and who poisons the reserve."""

from unscathed.adversaries.base import Adversary, Ranking
from unscathed.adversaries.blind import OneClass, Random
from unscathed.adversaries.outliers import Outliers
from unscathed.adversaries.output_aware import OutputAware
from unscathed.adversaries.parameter_aware import ParameterAware
from unscathed.adversaries.poisoning import Backdoored, Hubs, Mislabelled, NearDuplicates, Poisoning
from unscathed.adversaries.prototypes import Prototypes
from unscathed.adversaries.rare_subgroups import RareSubgroups
from unscathed.adversaries.slow_down import EarliestSlices, LayoutView
from unscathed.adversaries.views import BlindView, OutputView, ParameterView, QueryBudgetError
from unscathed.adversaries.whole_holdings import WholeHoldings

__all__ = [
    "Adversary",
    "Backdoored",
    "BlindView",
    "EarliestSlices",
    "Hubs",
    "LayoutView",
    "Mislabelled",
    "NearDuplicates",
    "OneClass",
    "Outliers",
    "OutputAware",
    "OutputView",
    "ParameterAware",
    "ParameterView",
    "Poisoning",
    "Prototypes",
    "QueryBudgetError",
    "Random",
    "Ranking",
    "RareSubgroups",
    "WholeHoldings",
]
