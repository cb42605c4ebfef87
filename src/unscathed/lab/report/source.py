"""Source: what a report shows, from a results folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from unscathed.lab.frames import SETTING, Failure, complete, read, read_failures, read_twins, telling
from unscathed.lab.labels import Labels
from unscathed.lab.report.wording import counted, listed, span, whole
from unscathed.lab.results import Results, Row, TwinPair

PLACE = ["adversary", "unlearner", "stage", "healer", "similarity", "seed"]
COLUMNS = ["measure", "value", "outcome", "wall_seconds", "steps", "forget_size", "reserve_size"]
COMMON = (
    "command", "started", "commit", "training_samples", "reserve_size", "test_samples", "parameters", "device",
    "precision", "processor", "cores", "threads", "accelerator", "platform",
)  # fmt: skip
"""Columns that say how measurements were made, in the order in which they are shown."""
RENAMED = {"reserve_size": "reserve"}


def results_from(folder: str | Path) -> list[Results]:
    """What a results folder holds, as a report shows it: one for each data set, model, recipe, task and reserve.

    Args:
        folder: see `read`.

    Raises:
        BadInputError: it cannot be read.
    """
    frame, failures, twins = read(folder), read_failures(folder), read_twins(folder)
    apart = telling(frame, SETTING)
    names = {axis: Labels(axis, frame[axis].unique()) for axis in SETTING}
    groups = frame.groupby(apart, observed=True, sort=True) if apart else [((), frame)]
    found = []
    for key, part in groups:
        own = dict(zip(apart, key, strict=True))
        dataset = part["dataset"].iloc[0]
        results = Results(
            names["dataset"](dataset),
            _environment(part),
            title=" · ".join(names[axis](value) for axis, value in own.items()),
            shares="test_score" not in set(part["measure"]),
            frame=part,
        )
        results.rows = _rows(part, results.shares)
        lost = [f for f in failures if all(f.cell.get(axis) == part[axis].iloc[0] for axis in SETTING)]
        results.notes = [*_shortages(results.rows), *_failed(lost, part)]
        results.twins = _twins(twins[twins["dataset"] == dataset], results.rows)
        found.append(results)
    return found


def results_of(source: str | Path | Results | Sequence[Results]) -> list[Results]:
    """The results of a folder; what are results already stay as they are."""
    if isinstance(source, Results):
        return [source]
    return results_from(source) if isinstance(source, str | Path) else list(source)


def _rows(frame: pd.DataFrame, shares: bool) -> list[Row]:
    """A row for each model, unlearner and seed, in the frame's order; what unlearners share is repeated for each."""
    kind = "accuracy" if shares else "score"
    full = complete(frame, ["unlearner"])
    full = full[full["unlearner"].notna()].sort_values(PLACE, kind="stable", na_position="first")
    values: dict[tuple[Any, ...], dict[str, float]] = {}
    words: dict[tuple[Any, ...], dict[str, str]] = {}
    costs: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for *key, measure, value, word, wall, steps, forget, reserve in full[[*PLACE, *COLUMNS]].itertuples(index=False):
        place = tuple(None if part != part else part for part in key)
        values.setdefault(place, {})[measure] = value
        if isinstance(word, str):
            words.setdefault(place, {})[measure] = word
        costs[place] = (wall, steps, forget, reserve)
    rows = []
    for place, found in values.items():
        if f"test_{kind}" not in found:
            continue
        adversary, unlearner, stage, healer, similarity, seed = place
        wall, steps, forget, reserve = costs[place]
        rows.append(
            Row(
                dataset=str(frame["dataset"].iloc[0]),
                adversary=adversary,
                unlearner=unlearner,
                healer=healer,
                stage=stage,
                seed=int(seed),
                test_accuracy=found[f"test_{kind}"],
                forget_accuracy=found.get(f"forget_{kind}", float("nan")),
                membership_auc=found.get("membership_auc", float("nan")),
                steps=int(steps),
                seconds=float(wall),
                forget_size=int(forget),
                reserve_left=int(found.get("reserve_left", reserve)),
                whole=words.get(place, {}).get("whole"),
                forgotten=words.get(place, {}).get("forgotten"),
                similarity=similarity,
                twins=int(found["twins"]) if "twins" in found else None,
                refused=int(found.get("twins_refused", 0)),
            )
        )
    return rows


def _environment(frame: pd.DataFrame) -> dict[str, Any]:
    """What the measurements say of how they were made; where they differ, all that they say."""
    made: dict[str, Any] = {}
    for name in COMMON:
        values = list(dict.fromkeys(value for value in frame[name] if value == value and value is not None))
        if name == "started":
            values = [" to ".join(dict.fromkeys([min(values), max(values)]))]
        made[RENAMED.get(name, name)] = None if not values else values[0] if len(values) == 1 else values
    made["seed"] = listed(frame["seed"].unique()).removeprefix("seeds ").removeprefix("seed ")
    configs = [_json(text) for text in frame["config"].unique()]
    made["dataset"] = str(frame["dataset"].iloc[0])
    made["model"] = str(frame["model"].iloc[0]) or "the task’s own"
    made["task"] = str(frame["task"].iloc[0])
    recipes = [config.get("recipe") for config in configs]
    made["recipe"] = next((recipe for recipe in recipes if isinstance(recipe, Mapping)), str(frame["recipe"].iloc[0]))
    for axis, name in (("adversary", "adversaries"), ("unlearner", "unlearners"), ("healer", "healer")):
        full = [str(config[axis]) for config in configs if isinstance(config.get(axis), str)]
        plain = [str(value) for value in frame[axis].cat.categories if value in set(frame[axis])]
        made[name] = list(dict.fromkeys(full)) or plain
    versions = [_json(text) for text in frame["versions"].unique()]
    names = dict.fromkeys(name for version in versions for name in version)
    made["versions"] = {name: _joined(version.get(name) for version in versions) for name in names}
    return made


def _json(text: Any) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _joined(values: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None))


def _shortages(rows: Sequence[Row]) -> list[str]:
    """Where the reserve held fewer twins than were needed."""
    label = Labels("adversary", (row.adversary for row in rows))
    short: dict[str, list[Row]] = {}
    for row in rows:
        if row.twins is not None and row.twins < row.forget_size:
            short.setdefault(row.adversary, []).append(row)
    said: dict[str, list[str]] = {}
    for adversary, found in short.items():
        text = (
            f"{span((row.forget_size for row in found), whole)} samples were forgotten, but only "
            f"{span((row.twins or 0 for row in found), whole)} spares of their classes were in the reserve; healing "
            "used what there was."
        )
        said.setdefault(text, []).append(label(adversary))
    return [f"{', '.join(adversaries)}: {text}" for text, adversaries in said.items()]


def _failed(failures: Sequence[Failure], frame: pd.DataFrame) -> list[str]:
    """What could not be measured, each error once."""
    names = {
        axis: Labels(axis, [*frame[axis].unique(), *(f.cell.get(axis) for f in failures)])
        for axis in ("adversary", "unlearner", "healer")
    }
    several = frame["seed"].nunique() > 1
    own: dict[tuple[str, str], list[Failure]] = {}
    shared: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        adversary, unlearner, healer = (label(failure.cell.get(axis)) for axis, label in names.items())
        what = f"{adversary}: healing {unlearner} with {healer}"
        if failure.cell.get("healer") is None:
            of = f" of {unlearner}" if failure.cell.get("unlearner") else ""
            what = f"{adversary}: measuring {failure.cell.get('stage', 'a model')}{of}"
        if failure.work.startswith("measuring"):
            own.setdefault((what, failure.error), []).append(failure)
        else:
            shared.setdefault((failure.work, failure.error), []).append(failure)
    said = []
    for (what, error), found in own.items():
        seeds = f" with {listed(failure.cell['seed'] for failure in found)}" if several else ""
        said.append(f"{what} failed{seeds}: {error.rstrip('.')}.")
    for (what, error), found in shared.items():
        said.append(f"{what} failed, and {counted(found, 'model')} could not be measured: {error.rstrip('.')}.")
    return said


def _twins(twins: pd.DataFrame, rows: Sequence[Row]) -> list[TwinPair]:
    """The pairs of the first seed, by adversary."""
    label = Labels("adversary", (row.adversary for row in rows))
    first = twins[twins["seed"] == twins["seed"].min()]
    order = {adversary: index for index, adversary in enumerate(label.values)}
    return [
        TwinPair(
            label(pair.adversary), pair.forgotten, pair.twin, pair.label, pair.distance,
            _bytes(pair.forgotten_image), _bytes(pair.twin_image),
        )
        for pair in sorted(first.itertuples(), key=lambda pair: order.get(pair.adversary, len(order)))
    ]  # fmt: skip


def _bytes(image: Any) -> bytes | None:
    return image if isinstance(image, bytes) else None
