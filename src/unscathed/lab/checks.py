"""Checks: whether an experiment's models suit its data, before any work starts."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from unscathed.lab.experiment import Setting
from unscathed.lab.work import Bench, Measurement, Open, Opened
from unscathed.problems import BadInputError, Problems
from unscathed.training import check_fit

FEWEST = 20
"""Training samples a class, below which holding a reserve back and forgetting some leaves nothing to measure."""


def check_settings(measurements: Iterable[Measurement], bench: Bench) -> None:
    """Read the data, build each model, and run it on two samples.

    Args:
        measurements: whose settings are checked, each once whatever its seed.
        bench: where the data is read.

    Raises:
        BadInputError: data cannot be read or is too small, or models do not suit it; all of it is named.
    """
    problems = Problems("cannot run the experiment")
    seen = set()
    for measurement in measurements:
        setting = measurement.setting
        kind = (setting.dataset, setting.model, setting.task, setting.recipe, setting.reserve)
        if kind not in seen:
            seen.add(kind)
            problems.extend(_problems_with(setting, bench))
    problems.found = list(dict.fromkeys(problems.found))
    problems.raise_any()


def _problems_with(setting: Setting, bench: Bench) -> list[str]:
    where = f"{setting.dataset}" + (f" with {setting.model}" if setting.model is not None else "")
    try:
        opened: Opened = bench.obtain(Open(setting))
        check_fit(opened.task, opened.samples)
    except BadInputError as error:
        return [f"{where}: {problem}" for problem in error.problems]
    except TypeError as error:
        # A constructor that lacks an argument which neither the file nor the data set gives.
        return [f"{where}: cannot be made ({error}); give the argument in the file"]
    labels = opened.task.labels(opened.samples.targets)
    classes = len(torch.unique(labels)) if labels is not None else 1
    if len(opened.samples) < FEWEST * classes:
        return [
            f"{where}: {len(opened.samples)} training samples for {classes} classes are too few to hold a reserve back "
            f"and to forget some; give at least {FEWEST * classes}"
        ]
    return []
