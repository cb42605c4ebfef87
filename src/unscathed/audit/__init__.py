"""Audits: is the model whole, and is the data gone?"""

from unscathed.audit.audit import MEASURES, audit
from unscathed.audit.calibration import calibration_error, compare_calibration
from unscathed.audit.case import Case
from unscathed.audit.check import Check
from unscathed.audit.controls import Control, Controls
from unscathed.audit.intervals import Difference
from unscathed.audit.measure import Measure
from unscathed.audit.membership import compare_membership, membership_auc
from unscathed.audit.population_membership import PopulationMembership
from unscathed.audit.relearning import Relearning
from unscathed.audit.score_on_forgotten import ScoreOnForgotten
from unscathed.audit.tolerance import Tolerance
from unscathed.audit.utility import Utility
from unscathed.audit.verdict import Verdict

__all__ = [
    "MEASURES",
    "Case",
    "Check",
    "Control",
    "Controls",
    "Difference",
    "Measure",
    "PopulationMembership",
    "Relearning",
    "ScoreOnForgotten",
    "Tolerance",
    "Utility",
    "Verdict",
    "audit",
    "calibration_error",
    "compare_calibration",
    "compare_membership",
    "membership_auc",
]
