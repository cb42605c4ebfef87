"""Training: recipes, the one loop, and what it makes."""

from unscathed.training.augment import Flip, Shift
from unscathed.training.callbacks import Callback, LossHistory, Progress
from unscathed.training.loop import Around, DivergedError, Objective, check_fit, fit, tune
from unscathed.training.machine import Machine, full_precision
from unscathed.training.recipe import Recipe
from unscathed.training.shadow_margins import ShadowMargins, most_memorised
from unscathed.training.shadows import Shadows, fit_shadows, shadow_half, shadow_seed
from unscathed.training.teacher import Teacher
from unscathed.training.trained import Evaluation, Event, State, Trained, state_of

__all__ = [
    "Around",
    "Callback",
    "DivergedError",
    "Evaluation",
    "Event",
    "Flip",
    "LossHistory",
    "Machine",
    "Objective",
    "Progress",
    "Recipe",
    "ShadowMargins",
    "Shadows",
    "Shift",
    "State",
    "Teacher",
    "Trained",
    "check_fit",
    "fit",
    "fit_shadows",
    "full_precision",
    "most_memorised",
    "shadow_half",
    "shadow_seed",
    "state_of",
    "tune",
]
