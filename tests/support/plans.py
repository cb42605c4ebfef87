"""Pilot points made by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

from unscathed.planning import PilotPoint
from unscathed.planning.plan import Question

CLASSES = {"a": 600, "b": 400}


def question(**changes: Any) -> Question:
    settings: dict[str, Any] = {
        "requests": "10 random samples a request",
        "horizon": 10,
        "tolerance": 0.02,
        "samples": CLASSES,
        "piloted": 10,
    }
    return Question(**{**settings, **changes})


def points(
    losses: Mapping[float, Sequence[float]],
    *,
    control: float = 0.1,
    asked: Mapping[str, int] | None = None,
    ran_out: int | None = None,
    **changes: Any,
) -> list[PilotPoint]:
    """One point for each share's losses, whose seeds count from 0; controls lose so much."""
    settings: dict[str, Any] = {
        "spares": 1,
        "forgotten": 100,
        "original": 0.95,
        "gold": 0.9,
        "distance": 0.1,
        "asked": asked or {"a": 60, "b": 40},
        "held": {"a": 6, "b": 4},
        "missing": {},
        "ran_out": ran_out,
        **changes,
    }
    return [
        PilotPoint(
            share=share, seed=seed, healed=settings["gold"] - loss, control=settings["gold"] - control, **settings
        )
        for share, values in losses.items()
        for seed, loss in enumerate(values)
    ]
