"""Audits: is the model whole, and is the data gone?"""

from unscathed.audit.attack import Attack, Observations
from unscathed.audit.audit import MEASURES, audit
from unscathed.audit.calibration import calibration_error, compare_calibration
from unscathed.audit.case import Case
from unscathed.audit.check import Check
from unscathed.audit.controls import Control, Controls
from unscathed.audit.intervals import Difference
from unscathed.audit.klom import Klom, compare_klom, klom
from unscathed.audit.lira import Lira
from unscathed.audit.margins import Margins
from unscathed.audit.measure import Measure
from unscathed.audit.membership import compare_membership, membership_auc
from unscathed.audit.per_sample_membership import PerSampleMembership
from unscathed.audit.population_membership import PopulationMembership
from unscathed.audit.relearning import Relearning
from unscathed.audit.rmia import Rmia
from unscathed.audit.roc import TruePositives, compare_true_positives, true_positives
from unscathed.audit.score_on_forgotten import ScoreOnForgotten
from unscathed.audit.tolerance import Tolerance
from unscathed.audit.utility import Utility
from unscathed.audit.verdict import Verdict

__all__ = [
    "MEASURES",
    "Attack",
    "Case",
    "Check",
    "Control",
    "Controls",
    "Difference",
    "Klom",
    "Lira",
    "Margins",
    "Measure",
    "Observations",
    "PerSampleMembership",
    "PopulationMembership",
    "Relearning",
    "Rmia",
    "ScoreOnForgotten",
    "Tolerance",
    "TruePositives",
    "Utility",
    "Verdict",
    "audit",
    "calibration_error",
    "compare_calibration",
    "compare_klom",
    "compare_membership",
    "compare_true_positives",
    "klom",
    "membership_auc",
    "true_positives",
]
