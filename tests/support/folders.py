"""Results folders made by hand: numbers that a test can look for in tables, plots and pages."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from unscathed.lab.schema import AXES, FORMAT, SCHEMA, TWINS

Place = tuple[str, str, str]
"""An adversary, an unlearner, and a stage or a healer."""
RANDOM, AWARE = "Random(budget=0.05)", "ParameterAware(budget=0.05)"
BOTH, CONTROL, ALONE = "Healer", "Healer(strategy='retain')", "Healer(strategy='twins')"
MEASURED: dict[str, tuple[str, float, float, float, int, float]] = {
    "original": ("original", 91.25, 97.5, 0.611, 400, 4.0),
    "gold": ("gold", 90.5, 62.5, 0.523, 380, 4.0),
    "unlearned": ("unlearned", 84.75, 66.25, 0.517, 20, 0.5),
    BOTH: ("healed", 90.25, 63.75, 0.521, 40, 0.5),
    CONTROL: ("healed", 89.75, 61.25, 0.519, 40, 0.5),
    ALONE: ("healed", 88.5, 65.0, 0.534, 40, 0.5),
}
"""Stage, accuracy on test and forgotten samples, membership AUC, steps and seconds."""
COMMON: dict[str, Any] = {
    "experiment": "toy", "dataset": "toy", "model": "ToyNet", "recipe": "Recipe", "task": "ClassificationTask",
    "reserve": "SpareSet(share=0.1)", "similarity": None, "unlearner": None, "healer": None, "seed": 0,
    "steps": 10, "wall_seconds": 1.0, "cpu_seconds": 2.0, "peak_memory": 1 << 20, "training_samples": 900,
    "reserve_size": 100, "test_samples": 400, "forget_size": 80, "parameters": 1234, "split_seed": 0,
    "training_seed": 0, "adversary_seed": 0, "unlearner_seed": 0, "key": "k", "code": "c0de", "commit": "abc123",
    "versions": json.dumps({"unscathed": "0.1.0", "python": "3.11.7", "torch": "2.6.0"}), "platform": "Linux",
    "processor": "Toy CPU", "cores": 2, "threads": 2, "accelerator": None, "device": "cpu", "precision": "float32",
    "command": "unscathed lab run toy.toml", "started": "2026-01-01T00:00:00+00:00", "format": FORMAT,
}  # fmt: skip
WORDS = {"pass": 1.0, "fail": 0.0, "not enough evidence": float("nan")}


def write_folder(
    folder: Path,
    models: Iterable[Mapping[str, Any]],
    *,
    failures: Iterable[Mapping[str, Any]] = (),
    twins: Iterable[Mapping[str, Any]] = (),
) -> Path:
    """Write a results folder; returns it.

    Args:
        folder: where.
        models: of each model its columns (what is missing is taken from `COMMON`) and ``measures``, by name.
        failures: as their JSON holds them.
        twins: rows of `TWINS`.
    """
    for part in ("measurements", "twins", "failures"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, model in enumerate(models):
        config = {axis: model.get(axis, COMMON.get(axis)) for axis in AXES}
        common = {**COMMON, "config": json.dumps(config), **model}
        measures = common.pop("measures")
        rows = [
            {**common, "measure": name, "value": WORDS.get(value, value), "outcome": value if value in WORDS else None}
            for name, value in measures.items()
        ]
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        pq.write_table(table, folder / "measurements" / f"{number:06}.parquet")
    for number, failure in enumerate(failures):
        (folder / "failures" / f"{number}.json").write_text(json.dumps({"traceback": "", **failure}))
    pairs = list(twins)
    if pairs:
        pq.write_table(pa.Table.from_pylist(pairs, schema=TWINS), folder / "twins" / "0.parquet")
    return folder


def made_models(
    *,
    datasets: Sequence[str] = ("toy",),
    adversaries: Sequence[str] = (RANDOM, AWARE),
    unlearners: Sequence[str] = ("Retrain", "Fisher"),
    healers: Sequence[str] = (BOTH, CONTROL, ALONE),
    seeds: Sequence[int] = (0,),
    without: Sequence[str] = (),
    but: Mapping[Place, Mapping[str, Any]] | None = None,
    spread: float = 0.0,
    common: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Models of a whole grid, all with the numbers of `MEASURED` but where ``but`` says otherwise.

    Args:
        datasets, adversaries, unlearners, healers, seeds: the axes.
        without: stages and healers that were not measured.
        but: other measures or columns for a place.
        spread: the standard deviation of accuracies over seeds; models of one seed share a part of it.
        common: other columns of all.
    """
    made = []
    for dataset in datasets:
        for adversary in adversaries:
            for seed in seeds:
                draws = np.random.default_rng(seed)
                shared = spread * draws.normal()
                places: list[tuple[str | None, str]] = [(None, "original"), (None, "gold")]
                places += [("Sisa", "original")] if "Sisa" in unlearners else []
                places += [(unlearner, name) for unlearner in unlearners for name in ("unlearned", *healers)]
                for unlearner, name in places:
                    if name in without:
                        continue
                    stage, test, forgotten, area, steps, seconds = MEASURED.get(name, MEASURED[BOTH])
                    other = dict((but or {}).get((adversary, unlearner or "", name), {}))
                    measures: dict[str, Any] = {
                        "test_accuracy": test + shared + 0.3 * spread * draws.normal(),
                        "forget_accuracy": forgotten + shared + 0.3 * spread * draws.normal(),
                        "membership_auc": area,
                    }
                    if stage != "gold":
                        measures |= {"whole": "pass", "forgotten": "fail" if stage == "original" else "pass"}
                    if "twins" in name or name == BOTH:
                        measures |= {"twins": 40.0, "twin_distance": 0.125, "reserve_left": 60.0}
                    columns = {key: other.pop(key) for key in list(other) if key in SCHEMA.names}
                    made.append(
                        {
                            "dataset": dataset,
                            "adversary": adversary,
                            "unlearner": unlearner,
                            "healer": name if stage == "healed" else None,
                            "similarity": "Cosine" if "twins" in measures else None,
                            "stage": stage,
                            "seed": seed,
                            "steps": steps,
                            "wall_seconds": seconds,
                            "measures": {**measures, **other},
                            **(common or {}),
                            **columns,
                        }
                    )
    return made


def made_pairs(adversaries: Sequence[str] = (RANDOM, AWARE), label: str = "seven") -> list[dict[str, Any]]:
    """A pair of twins for each adversary: in colour, and grey."""
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    return [
        {
            "dataset": "toy", "adversary": adversary, "seed": 0, "forgotten": "sample-1", "twin": "spare-2",
            "label": label, "distance": 0.125, "forgotten_image": png(pixels), "twin_image": png(pixels[:, :, 0]),
        }
        for adversary in adversaries
    ]  # fmt: skip


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
