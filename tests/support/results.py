"""Results made by hand: numbers that a test can look for on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from unscathed.lab.results import Results, Row, Stage, TwinPair

Place = tuple[str, str, str]
"""An adversary, an unlearner, and a stage or a healing strategy."""
MEASURED: dict[str, tuple[Stage, float, float, float, int, float]] = {
    "original": ("original", 91.25, 97.5, 0.611, 400, 4.0),
    "gold": ("gold", 90.5, 62.5, 0.523, 380, 4.0),
    "unlearned": ("unlearned", 84.75, 66.25, 0.517, 20, 0.5),
    "retain+twins": ("healed", 90.25, 63.75, 0.521, 40, 0.5),
    "retain": ("healed", 89.75, 61.25, 0.519, 40, 0.5),
    "twins": ("healed", 88.5, 65.0, 0.534, 40, 0.5),
}


def made_results(
    *,
    adversaries: Sequence[str] = ("random", "parameter-aware"),
    unlearners: Sequence[str] = ("retrain", "fisher"),
    without: Sequence[str] = (),
    but: Mapping[Place, Mapping[str, Any]] | None = None,
    environment: Mapping[str, Any] | None = None,
    label: str = "seven",
) -> Results:
    """Results in which every adversary and unlearner has the same numbers, but where ``but`` says otherwise.

    Args:
        adversaries: their names.
        unlearners: their names.
        without: stages and healing strategies that were not measured.
        but: other values for a row's fields.
        environment: other values for the environment's.
        label: the class of the twins shown.
    """
    results = Results(
        "toy",
        {
            "command": "unscathed demo",
            "training_samples": 900,
            "reserve": 100,
            "test_samples": 400,
            "model": "ToyNet",
            "unlearners": {"fisher": "Fisher(floor=0.001)"},
            "versions": {"python": "3.11.7"},
            "accelerator": None,
            **(environment or {}),
        },
        notes=["The reserve ran out."],
    )
    for adversary in adversaries:
        for unlearner in unlearners:
            for name, (stage, test, forgotten, area, steps, seconds) in MEASURED.items():
                if name in without:
                    continue
                outcome = "pass" if stage in ("unlearned", "healed") else None
                row = Row(
                    dataset="toy",
                    adversary=adversary,
                    unlearner=unlearner,
                    healer=name if stage == "healed" else None,
                    stage=stage,
                    seed=0,
                    test_accuracy=test,
                    forget_accuracy=forgotten,
                    membership_auc=area,
                    steps=steps,
                    seconds=seconds,
                    forget_size=80,
                    reserve_left=60 if "twins" in name else 100,
                    whole=outcome,
                    forgotten=outcome,
                )
                results.rows.append(replace(row, **(but or {}).get((adversary, unlearner, name), {})))
        pixels = np.arange(192, dtype=np.uint8).reshape(3, 8, 8)
        results.twins.append(TwinPair(adversary, "sample-1", "spare-2", label, 0.125, pixels, pixels[:1]))
    return results
