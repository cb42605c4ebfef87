"""Make a table: which rows, which columns, which of the measurements in which cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from unscathed.lab import labels
from unscathed.lab.frames import COSTS, PLACE, SETTING, SPREAD, Failure, complete, measured, telling, with_failures
from unscathed.lab.labels import Labels, ranked
from unscathed.lab.statistics import INTERVALS, LEVEL, Interval, differences, estimate, reference_of
from unscathed.lab.tables.cells import Cell, Style, digits_for
from unscathed.lab.tables.formats import Part, Table
from unscathed.problems import Problems

ROWS, COLUMNS = ("adversary", "unlearner"), ("stage", "healer")
STATE = ("stage", "healer", "similarity")
"""Axes that share a level where they are named together."""


def table(
    frame: pd.DataFrame,
    rows: Sequence[str] = ROWS,
    columns: Sequence[str] = COLUMNS,
    value: str = "test_accuracy",
    *,
    against: str | Mapping[str, Any] | None = None,
    where: Mapping[str, Any] | None = None,
    interval: Interval = "t",
    level: float = LEVEL,
    failures: Iterable[Failure] = (),
) -> Table:
    """A table of means over seeds; each combination of values on axes that are not named makes a table of its own.

    Args:
        frame: measurements, see `read`.
        rows: axes down the side.
        columns: axes along the top. ``stage`` and ``healer`` named together share a level: the original, gold and the
            unlearned model are the same for every healer. Naming ``healer`` without ``stage`` shows healed models.
        value: a measure, or what a stage cost (``steps``, ``wall_seconds`` …).
        against: show differences, paired by seed, from a stage (``"gold"``) or from another value of an axis
            (``"healer=Healer(strategy='retain')"``).
        where: values, or lists of them, that axes are narrowed to: constructor texts, or their labels.
        interval: ``"t"`` or ``"bootstrap"``.
        level: of the interval.
        failures: see `read_failures`; they are marked, and listed below the table.

    Raises:
        BadInputError: an axis, a measure or a value is unknown, or nothing is left to show.
    """
    failures = tuple(failures)
    where = {axis: [v] if isinstance(v, str | int) else list(v) for axis, v in (where or {}).items()}
    _check(frame, rows, columns, value, against, where, interval)
    narrowed = [axis for axis in where if axis != "seed"]
    healing = {"healer", "similarity"} & {*rows, *columns, *where}
    if healing and "stage" not in {*rows, *columns, *where}:
        where["stage"] = ["healed"]
    names = {axis: Labels(axis, [*frame[axis].unique(), *(f.cell.get(axis) for f in failures)]) for axis in PLACE}
    where = {axis: [value for name in wanted for value in names[axis].find(name)] for axis, wanted in where.items()}
    shown = measured(frame, value)
    # The audit's "not enough evidence" is a NaN that counts; a number that is one was not measured.
    shown = shown if value in labels.OUTCOMES else shown.dropna(subset=["value"])
    if against is not None:
        shown = differences(shown, against)
    shown = with_failures(shown, failures)
    if against is not None and not shown.empty:
        shown = shown[~np.logical_and.reduce([shown[a] == v for a, v in reference_of(against).items()])]
    named = [*rows, *columns]
    beside = next((part for part in (rows, columns) if "stage" in part), [a for a in PLACE if a not in named])
    shown = complete(shown, [axis for axis in SPREAD if axis not in beside])
    for axis, wanted in where.items():
        kept = shown[axis].isin(wanted) | (shown[axis].isna() if axis in SPREAD else False)
        shown = shown[kept]
    problems = Problems("cannot make the table")
    beside_it = f" to compare with {_compared(against, names)}" if against is not None else ""
    problems.require(not shown.empty, f"no {value} was measured of what is to be shown{beside_it}")
    problems.raise_any()
    apart = telling(shown, [axis for axis in (*SETTING, "adversary", "unlearner", *STATE) if axis not in named], named)
    groups = {_plain(key): group for key, group in shown.groupby(apart, observed=True, dropna=False)} if apart else {}
    groups = groups or {(): shown}
    keys = _ordered(groups, apart, names)
    compared = _compared(against, names)
    parts = []
    for key in keys:
        about = _levels(apart, key, keys, names)
        # What the table is narrowed to is said as well, since no row or column says it.
        same = [axis for axis in ("dataset", *narrowed) if axis not in (*apart, *named)]
        about = (*(names[axis](groups[key][axis].iloc[0]) for axis in dict.fromkeys(same)), *about)
        heading = labels.measure(value).heading + (f": difference from {compared}" if compared else "")
        title = " · ".join([heading[0].upper() + heading[1:], *about])
        own = dict(zip(apart, key, strict=True))
        parts.append(_part(title, groups[key], own, rows, columns, value, interval, bool(compared), names))
    told = _told(failures, shown[shown["failed"]])
    return Table(tuple(parts), value, interval, level, tuple(told), compared)


def _part(
    title: str,
    group: pd.DataFrame,
    own: Mapping[str, Any],
    rows: Sequence[str],
    columns: Sequence[str],
    value: str,
    interval: Interval,
    signed: bool,
    names: Mapping[str, Labels],
) -> Part:
    cells: dict[tuple[tuple[Any, ...], tuple[Any, ...]], Cell] = {}
    for key, found in group.groupby([*rows, *columns], observed=True, dropna=False):
        place = _plain(key)
        cells[place[: len(rows)], place[len(rows) :]] = _cell(found, value, interval)
    measure = labels.measure(value)
    counts = Counter(cell.n for cell in cells.values() if cell.n)
    digits = digits_for(measure, cells.values(), float(group["test_samples"].min()))
    style = Style(digits, interval, signed, counts.most_common(1)[0][0] if counts else None)
    down = _ordered({row for row, _ in cells}, rows, names)
    along = _ordered({column for _, column in cells}, columns, names)
    return Part(
        title=title,
        own=own,
        row_axes=tuple(rows),
        column_axes=tuple(columns),
        rows=tuple(down),
        columns=tuple(along),
        row_labels=tuple(_levels(rows, row, down, names) for row in down),
        column_labels=tuple(_levels(columns, column, along, names) for column in along),
        cells=cells,
        style=style,
        even=len(counts) <= 1,
    )


def _cell(found: pd.DataFrame, value: str, interval: Interval) -> Cell:
    failed = int(found["failed"].sum())
    there = found[~found["failed"]]
    if there["seed"].duplicated().any():
        raise AssertionError("several values of one seed meet in a cell: an axis is missing")
    if value in labels.OUTCOMES:
        return Cell(counts=Counter(there["outcome"].dropna()), failed=failed)
    return Cell(estimate(there["value"], interval) if len(there) else None, failed=failed)


def _ordered(
    keys: Iterable[tuple[Any, ...]], axes: Sequence[str], names: Mapping[str, Labels]
) -> list[tuple[Any, ...]]:
    """In the order of each axis in turn; what is the same for all of them comes first."""
    places = [{v: index for index, v in enumerate(ranked(axis, names[axis].values))} for axis in axes]
    return sorted(keys, key=lambda key: tuple(places[i].get(part, -1) for i, part in enumerate(key)))


def _levels(
    axes: Sequence[str], key: Sequence[Any], keys: Sequence[Sequence[Any]], names: Mapping[str, Labels]
) -> tuple[str, ...]:
    """A label for each axis; those of healing join the stage where they stand beside it."""
    values = dict(zip(axes, key, strict=True))
    joined = [axis for axis in STATE[1:] if axis in axes and "stage" in axes]
    told = []
    for axis in axes:
        if axis in joined:
            continue
        text = names[axis](values[axis])
        if axis == "stage" and joined:
            healed = [k for k in keys if k[axes.index("stage")] == values["stage"]]
            parts = [
                names[a](values[a])
                for a in joined
                if values[a] is not None and len({k[axes.index(a)] for k in healed}) > 1
            ]
            text = f"{text} ({', '.join(parts)})" if parts else text
        told.append(text)
    return tuple(told)


def _plain(key: Any) -> tuple[Any, ...]:
    """A group's key as a tuple, with None for what is missing."""
    return tuple(None if part != part else part for part in (key if isinstance(key, tuple) else (key,)))


def _compared(against: str | Mapping[str, Any] | None, names: Mapping[str, Labels]) -> str:
    if against is None:
        return ""
    return ", ".join(
        f"{names[axis](v)}{'' if axis == 'stage' else f' ({axis})'}" for axis, v in reference_of(against).items()
    )


def _told(failures: Iterable[Failure], failed: pd.DataFrame) -> list[str]:
    """Each error once, with how many of the shown cells it left empty."""
    places = {tuple(None if p != p else p for p in place) for place in failed[list(PLACE)].itertuples(index=False)}
    counts: Counter[tuple[str, str]] = Counter()
    for failure in failures:
        cell = [failure.cell.get(axis) for axis in PLACE]
        if any(all(ours is None or ours == p for ours, p in zip(cell, place, strict=True)) for place in places):
            counts[failure.work, failure.error] += 1
    return [f"{work}: {error}" + (f" ({n} models)" if n > 1 else "") for (work, error), n in counts.items()]


def _check(
    frame: pd.DataFrame,
    rows: Sequence[str],
    columns: Sequence[str],
    value: str,
    against: str | Mapping[str, Any] | None,
    where: Mapping[str, Sequence[Any]],
    interval: str,
) -> None:
    problems = Problems("cannot make the table")
    named = [*rows, *columns, *where]
    unknown = [axis for axis in named if axis not in PLACE]
    problems.require(not unknown, f"unknown axes {', '.join(map(repr, unknown))}; there are {', '.join(PLACE)}")
    twice = sorted({axis for axis in (*rows, *columns) if (*rows, *columns).count(axis) > 1})
    problems.require(not twice, f"{', '.join(twice)} named twice; an axis is for rows or for columns")
    problems.require(bool(rows) and bool(columns), "name at least one axis for rows and one for columns")
    known = [*frame["measure"].unique(), *COSTS]
    problems.require(value in known, f"unknown value {value!r}; there are {', '.join(map(str, known))}")
    problems.require(interval in INTERVALS, f"unknown interval {interval!r}; there are {', '.join(INTERVALS)}")
    problems.require(
        against is None or value not in labels.OUTCOMES, f"{value} is an audit's word: it has no differences"
    )
    for axis in set(where) & set(PLACE):
        label = Labels(axis, frame[axis].unique())
        lost = [name for name in where[axis] if not label.find(name)]
        options = ", ".join(map(str, label.values))
        problems.require(not lost, f"no {axis} is {', '.join(map(repr, lost))}; there are {options}")
    problems.raise_any()
