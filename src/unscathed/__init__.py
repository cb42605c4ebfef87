"""Machine unlearning that leaves the model whole: train with a reserve, unlearn, heal, audit."""

from unscathed import adversaries, executors, healing, screening, streams
from unscathed.adversaries import BlindView, OutputView, ParameterView, QueryBudgetError
from unscathed.audit import Tolerance, Verdict, audit
from unscathed.healing import Consolidation, Escalation, Healer, Until, Watchful
from unscathed.lab import datasets, models
from unscathed.planning import Depletion, ReservePlan, depletion, plan_reserve
from unscathed.problems import BadInputError, UnscathedError
from unscathed.reserve import Approximate, ReserveExhaustedError, SpareSet, Twins, hold_back, pair, screens
from unscathed.samples import Batch, Samples
from unscathed.screening import NeedsReviewError, SaferRoad
from unscathed.similarity import Cosine, Encoded, Euclidean, Features, Mahalanobis, Raw, Siamese
from unscathed.steward import Outcome, Steward
from unscathed.task import ClassificationTask, Task
from unscathed.training import (
    Callback,
    DivergedError,
    Flip,
    LossHistory,
    Progress,
    Recipe,
    ShadowMargins,
    Shadows,
    Shift,
    Trained,
    fit,
    fit_shadows,
)
from unscathed.unlearners import (
    BudgetSpentError,
    CertifiedRemoval,
    Fisher,
    GradientAscent,
    Influence,
    NegGradPlus,
    Retrain,
    Saliency,
    Scrub,
    SelectiveDampening,
    ShortRetraining,
    Sisa,
    Unlearner,
)
from unscathed.unlearners.costs import expected_cost, request_cost
from unscathed.unlearners.layouts import by_requester

__all__ = [
    "Approximate",
    "BadInputError",
    "Batch",
    "BlindView",
    "BudgetSpentError",
    "Callback",
    "CertifiedRemoval",
    "ClassificationTask",
    "Consolidation",
    "Cosine",
    "Depletion",
    "DivergedError",
    "Encoded",
    "Escalation",
    "Euclidean",
    "Features",
    "Fisher",
    "Flip",
    "GradientAscent",
    "Healer",
    "Influence",
    "LossHistory",
    "Mahalanobis",
    "NeedsReviewError",
    "NegGradPlus",
    "Outcome",
    "OutputView",
    "ParameterView",
    "Progress",
    "QueryBudgetError",
    "Raw",
    "Recipe",
    "ReserveExhaustedError",
    "ReservePlan",
    "Retrain",
    "SaferRoad",
    "Saliency",
    "Samples",
    "Scrub",
    "SelectiveDampening",
    "ShadowMargins",
    "Shadows",
    "Shift",
    "ShortRetraining",
    "Siamese",
    "Sisa",
    "SpareSet",
    "Steward",
    "Task",
    "Tolerance",
    "Trained",
    "Twins",
    "Unlearner",
    "UnscathedError",
    "Until",
    "Verdict",
    "Watchful",
    "adversaries",
    "audit",
    "by_requester",
    "datasets",
    "depletion",
    "executors",
    "expected_cost",
    "fit",
    "fit_shadows",
    "healing",
    "hold_back",
    "models",
    "pair",
    "plan_reserve",
    "request_cost",
    "screening",
    "screens",
    "streams",
]
