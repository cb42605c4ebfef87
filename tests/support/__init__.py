"""Tiny tasks, models and unlearners that the tests share."""

from tests.support.crowd import Crowd
from tests.support.data import data_folder, digit_setup
from tests.support.tasks import Ridge, TinyTransformer, blobs, ridge_trained, tiny_task, trained_by_hand
from tests.support.threads import one_thread
from tests.support.unlearners import NoOp, RandomWeights

__all__ = [
    "Crowd",
    "NoOp",
    "RandomWeights",
    "Ridge",
    "TinyTransformer",
    "blobs",
    "data_folder",
    "digit_setup",
    "one_thread",
    "ridge_trained",
    "tiny_task",
    "trained_by_hand",
]
