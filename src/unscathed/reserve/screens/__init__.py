"""Screens: which spares look as if an attacker had contributed them."""

from unscathed.reserve.screens.base import Screen
from unscathed.reserve.screens.confident_learning import ConfidentLearning
from unscathed.reserve.screens.contributor_quota import ContributorQuota
from unscathed.reserve.screens.crowding import Crowding
from unscathed.reserve.screens.hubness import Hubness
from unscathed.reserve.screens.neighbour_agreement import NeighbourAgreement
from unscathed.reserve.screens.screening import Screening, screen
from unscathed.reserve.screens.spectral_outliers import SpectralOutliers

__all__ = [
    "ConfidentLearning",
    "ContributorQuota",
    "Crowding",
    "Hubness",
    "NeighbourAgreement",
    "Screen",
    "Screening",
    "SpectralOutliers",
    "screen",
]
