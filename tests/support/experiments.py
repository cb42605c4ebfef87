"""Tiny experiments on digits: a fraction of a second each."""

from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from unscathed.lab.experiment import Experiment
from unscathed.lab.store import Store

TINY: dict[str, Any] = {
    "name": "tiny",
    "dataset": "digits",
    "recipe": {"epochs": 2},
    "adversary": [{"Random": {"budget": 0.05}}, "OutputAware"],
    "unlearner": ["Retrain", {"Sisa": {"shards": 2}}, "Influence"],
}


def tiny(**changes: Any) -> Experiment:
    return Experiment.from_dict({**TINY, **changes})


def store(folder: Path) -> Store:
    return Store(folder / "cache")


def read(results: Path) -> pd.DataFrame:
    """All rows, in an order of their own, without what differs from run to run."""
    frame = pd.read_parquet(results / "measurements")
    varying = ["wall_seconds", "cpu_seconds", "peak_memory", "started", "command"]
    axes = ["adversary", "unlearner", "healer", "similarity", "stage", "seed", "measure"]
    return frame.drop(columns=varying).sort_values(axes, ignore_index=True)


def pixels(images: Tensor) -> Tensor:
    """An encoder that leaves the digits as they are."""
    return images.float().flatten(1) / 16
