"""Adversaries: views, and who chooses what must be forgotten from them."""

from unscathed.adversaries.base import Adversary, Ranking
from unscathed.adversaries.blind import OneClass, Random
from unscathed.adversaries.output_aware import OutputAware
from unscathed.adversaries.parameter_aware import ParameterAware
from unscathed.adversaries.views import BlindView, OutputView, ParameterView

__all__ = [
    "Adversary",
    "BlindView",
    "OneClass",
    "OutputAware",
    "OutputView",
    "ParameterAware",
    "ParameterView",
    "Random",
    "Ranking",
]
