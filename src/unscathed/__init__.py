"""Machine unlearning that leaves the model whole: train with a reserve, unlearn, heal, audit."""

from unscathed import adversaries, executors
from unscathed.adversaries import BlindView, OutputView, ParameterView
from unscathed.audit import Tolerance, Verdict, audit
from unscathed.healing import Healer
from unscathed.lab import datasets, models
from unscathed.problems import BadInputError, UnscathedError
from unscathed.reserve import ReserveExhaustedError, SpareSet, Twins
from unscathed.samples import Batch, Samples
from unscathed.similarity import Cosine, Euclidean, Features, Raw
from unscathed.steward import Outcome, Steward
from unscathed.task import ClassificationTask, Task
from unscathed.training import (
    Callback,
    DivergedError,
    Flip,
    LossHistory,
    Progress,
    Recipe,
    Shadows,
    Shift,
    Trained,
    fit,
    fit_shadows,
)
from unscathed.unlearners import Fisher, Influence, Retrain, Saliency, SelectiveDampening, Sisa, Unlearner

__all__ = [
    "BadInputError",
    "Batch",
    "BlindView",
    "Callback",
    "ClassificationTask",
    "Cosine",
    "DivergedError",
    "Euclidean",
    "Features",
    "Fisher",
    "Flip",
    "Healer",
    "Influence",
    "LossHistory",
    "Outcome",
    "OutputView",
    "ParameterView",
    "Progress",
    "Raw",
    "Recipe",
    "ReserveExhaustedError",
    "Retrain",
    "Saliency",
    "Samples",
    "SelectiveDampening",
    "Shadows",
    "Shift",
    "Sisa",
    "SpareSet",
    "Steward",
    "Task",
    "Tolerance",
    "Trained",
    "Twins",
    "Unlearner",
    "UnscathedError",
    "Verdict",
    "adversaries",
    "audit",
    "datasets",
    "executors",
    "fit",
    "fit_shadows",
    "models",
]
