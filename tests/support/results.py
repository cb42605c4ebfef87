"""Results made by hand: numbers that a test can look for on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from unscathed.lab.results import Results, Row, Stage, TwinPair, as_png

Place = tuple[str, str, str]
"""An adversary, an unlearner, and a stage or a healing strategy."""
TEXTS = {
    "random": "Random(budget=0.05)", "blind": "OneClass(budget=0.05)", "output-aware": "OutputAware(budget=0.05)",
    "parameter-aware": "ParameterAware(budget=0.05)", "retrain": "Retrain", "sisa": "Sisa(shards=3)",
    "fisher": "Fisher(kl_budget=0.05)", "influence": "Influence", "certified": "CertifiedRemoval",
    "retain+twins": "Healer", "retain": "Healer(strategy='retain')", "twins": "Healer(strategy='twins')",
}  # fmt: skip
"""Constructor texts, by the short names that tests use."""
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
    seeds: Sequence[int] = (0,),
    spread: float = 0.0,
    shares: bool = True,
) -> Results:
    """Results in which every adversary and unlearner has the same numbers, but where ``but`` says otherwise.

    Args:
        adversaries: their names.
        unlearners: their names.
        without: stages and healing strategies that were not measured.
        but: other values for a row's fields, of all seeds or of those under ``seeds``.
        environment: other values for the environment's.
        label: the class of the twins shown.
        seeds: of the runs.
        spread: how much higher all accuracies are with each further seed.
        shares: whether scores are shares; else they are hundredths below zero.
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
        shares=shares,
    )
    pixels = np.arange(192, dtype=np.uint8).reshape(3, 8, 8)
    for adversary, unlearner, seed in product(adversaries, unlearners, seeds):
        for name, (stage, test, forgotten, area, steps, seconds) in MEASURED.items():
            if name in without:
                continue
            outcome = "pass" if stage in ("unlearned", "healed") else None
            row = Row(
                dataset="toy",
                adversary=TEXTS.get(adversary, adversary),
                unlearner=TEXTS.get(unlearner, unlearner),
                healer=TEXTS.get(name, name) if stage == "healed" else None,
                stage=stage,
                seed=seed,
                test_accuracy=test + spread * seed if shares else -test / 100,
                forget_accuracy=forgotten + spread * seed if shares else -forgotten / 100,
                membership_auc=area,
                steps=steps,
                seconds=seconds,
                forget_size=80,
                reserve_left=60 if "twins" in name else 100,
                whole=outcome,
                forgotten=outcome,
                similarity="Cosine" if "twins" in name else None,
                twins=40 if "twins" in name else None,
            )
            other = dict((but or {}).get((adversary, unlearner, name), {}))
            if seed in other.pop("seeds", [seed]):
                row = replace(row, **other)
            results.rows.append(row)
    results.twins = [
        TwinPair(adversary, "sample-1", "spare-2", label, 0.125, as_png(pixels), as_png(pixels[:1]))
        for adversary in adversaries
    ]
    return results
