"""Tiny tasks, models and unlearners that the tests share."""

from tests.support.crowd import Crowd
from tests.support.data import data_folder, digit_setup
from tests.support.tasks import (
    REMEMBERING,
    Ridge,
    TinyTransformer,
    blobs,
    noisy_blobs,
    remembering_task,
    ridge_trained,
    tiny_task,
    trained_by_hand,
)
from tests.support.threads import one_thread
from tests.support.unlearners import NoOp, RandomWeights

__all__ = [
    "REMEMBERING",
    "Crowd",
    "NoOp",
    "RandomWeights",
    "Ridge",
    "TinyTransformer",
    "blobs",
    "data_folder",
    "digit_setup",
    "noisy_blobs",
    "one_thread",
    "remembering_task",
    "ridge_trained",
    "tiny_task",
    "trained_by_hand",
]
