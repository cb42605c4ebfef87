"""Frames: a results folder as a data frame, one row a measurement."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from unscathed.lab.labels import ranked
from unscathed.lab.schema import AXES, FORMAT, SCHEMA, STAGES, TWINS
from unscathed.problems import Problems, some

SPREAD = ("unlearner", "healer", "similarity")
"""Axes on which a null means *the same for every value*."""
SETTING = ("dataset", "model", "recipe", "task", "reserve")
"""Axes that an original depends on, besides its seed."""
PLACE = (*AXES, "stage")
"""What tells one measured model from another."""
COSTS = ("steps", "wall_seconds", "cpu_seconds", "peak_memory")
"""Columns that can be shown like measures: what a stage cost."""


@dataclass(frozen=True)
class Failure:
    """A cell that could not be measured.

    Args:
        cell: its axes and stage; None as in the frame.
        work: what was being done.
        error: in one line.
    """

    cell: Mapping[str, Any]
    work: str
    error: str


def read(folder: str | Path) -> pd.DataFrame:
    """All measurements of a results folder; text columns are categories in the order in which readers meet them.

    Of double rows of the same cell the newest is kept.

    Args:
        folder: with ``measurements/*.parquet`` (`SCHEMA`).

    Raises:
        BadInputError: there is nothing to read, or a file is damaged, of another kind, or newer than this version.
    """
    files = _files(Path(folder), "measurements")
    problems = Problems(f"cannot read the results in {folder}")
    tables = [table for file in files if (table := _table(file, SCHEMA, problems)) is not None]
    problems.require(bool(files), "there are no measurements in it (measurements/*.parquet); run the experiment first")
    problems.raise_any()
    table = pa.concat_tables(tables)
    for index, field in enumerate(SCHEMA):
        if pa.types.is_string(field.type):
            table = table.set_column(index, field.name, table[field.name].combine_chunks().dictionary_encode())
    frame = table.to_pandas()
    frame = frame.sort_values("started", key=lambda column: column.astype(str), kind="stable")
    frame = frame.drop_duplicates([*PLACE, "measure"], keep="last")
    return _ordered(frame)


def read_failures(folder: str | Path) -> list[Failure]:
    """The cells of a results folder that could not be measured.

    Raises:
        BadInputError: a record is damaged.
    """
    problems = Problems(f"cannot read the failures in {folder}")
    found = []
    for file in sorted((Path(folder) / "failures").glob("*.json")):
        try:
            content = json.loads(file.read_text())
            found.append(Failure(content["cell"], content["work"], content["error"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            problems.require(False, f"{file.name} is damaged ({type(error).__name__}: {error}); delete it")
    problems.raise_any()
    return found


def read_twins(folder: str | Path) -> pd.DataFrame:
    """A few pairs of twins of each forget set, as in `TWINS`; empty where there are none.

    Raises:
        BadInputError: a file is damaged or of another kind.
    """
    problems = Problems(f"cannot read the twins in {folder}")
    files = sorted((Path(folder) / "twins").glob("*.parquet"))
    tables = [table for file in files if (table := _table(file, TWINS, problems)) is not None]
    problems.raise_any()
    frame = pa.concat_tables([TWINS.empty_table(), *tables]).to_pandas()
    return frame.drop_duplicates(["dataset", "adversary", "seed", "forgotten", "twin"]).reset_index(drop=True)


def measured(frame: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The rows of one measure; what a stage cost (`COSTS`) is a measure too."""
    if measure in COSTS:
        rows = frame.drop_duplicates(list(PLACE))
        return rows.assign(measure=measure, value=rows[measure].astype(float), outcome=None)
    return frame[frame["measure"] == measure]


def complete(frame: pd.DataFrame, axes: Sequence[str] = SPREAD) -> pd.DataFrame:
    """Spread rows that are the same for every value of an axis over the values that occur in their setting.

    A row that names its value takes precedence over one that is the same for all: SISA's own original over the plain.

    Args:
        frame: as `read` gives it.
        axes: to be spread, of `SPREAD`.
    """
    for axis in axes:
        shared = frame[axis].isna()
        named = frame[~shared]
        if named.empty or not shared.any():
            continue
        values = named[[*SETTING, axis]].drop_duplicates()
        spread = frame[shared].drop(columns=axis).merge(values, on=list(SETTING), how="left")
        joined = pd.concat([named, spread[list(frame.columns)]], ignore_index=True)
        frame = joined.drop_duplicates([*PLACE, "measure"], keep="first")
    return frame.reset_index(drop=True)


def with_failures(frame: pd.DataFrame, failures: Iterable[Failure]) -> pd.DataFrame:
    """Add failed cells, as rows without a value; the column ``failed`` tells them from measurements.

    Where the cell was measured after all, its failure is left out by `complete`, which prefers what was measured.

    Args:
        frame: of one measure.
        failures: see `read_failures`.
    """
    frame = frame.assign(failed=False)
    if frame.empty:
        return frame
    rows = [{**{axis: failure.cell.get(axis) for axis in PLACE}, "failed": True} for failure in failures]
    if not rows:
        return frame
    added = pd.DataFrame(rows).drop_duplicates().assign(measure=frame["measure"].iloc[0])
    places = [axis for axis in PLACE if axis != "seed"]
    plain = frame.astype(dict.fromkeys((*places, "measure"), object))
    joined = pd.concat([plain, added.astype(object)], ignore_index=True)
    joined = joined.drop_duplicates([*PLACE, "measure"], keep="first").infer_objects()
    for axis in places:
        joined[axis] = pd.Categorical(joined[axis], categories=ranked(axis, joined[axis]), ordered=True)
    return joined.astype({"value": float, "failed": bool, "seed": "int64"})


def telling(frame: pd.DataFrame, axes: Iterable[str], given: Iterable[str] = ()) -> list[str]:
    """Those of the axes that tell cells apart: several values occur on them, and no axis before them decides which.

    A null beside one value is none of its own.

    Args:
        frame: measurements.
        axes: in order of importance.
        given: axes that are told apart already.
    """
    kept, found = list(given), []
    for axis in axes:
        groups = frame.groupby(kept, observed=True, dropna=False)[axis].nunique() if kept else frame[[axis]].nunique()
        if groups.max() > 1:
            kept.append(axis)
            found.append(axis)
    return found


def _files(folder: Path, part: str) -> list[Path]:
    problems = Problems(f"cannot read the results in {folder}")
    problems.require(folder.is_dir(), "there is no such folder")
    problems.raise_any()
    return sorted((folder / part).glob("*.parquet"))


def _table(file: Path, schema: pa.Schema, problems: Problems) -> pa.Table | None:
    """One file's rows; None, and a problem noted, where it cannot be read."""
    try:
        table = pq.ParquetFile(file).read(use_threads=False)
    except (OSError, pa.ArrowException) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        problems.require(False, f"{file.name} cannot be read ({reason}); delete it and run again")
        return None
    present = set(table.column_names)
    if "format" in schema.names and "format" in present:
        newest = max((number for number in table["format"].to_pylist() if number is not None), default=0)
        known = f"{file.name} is of format {newest}, newer than this version knows ({FORMAT}); update unscathed"
        if not problems.require(newest <= FORMAT, known):
            return None
    missing = [name for name in schema.names if name not in present]
    if not problems.require(not missing, f"{file.name} lacks the columns {some(missing)}: it is no such file"):
        return None
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        problems.require(False, f"{file.name} holds what its columns may not hold ({str(error).splitlines()[0]})")
        return None


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Categories, and rows by them, in the order in which readers meet them."""
    for axis in PLACE:
        if axis == "seed":
            continue
        categories = list(STAGES) if axis == "stage" else ranked(axis, frame[axis].cat.categories)
        frame = frame.assign(**{axis: frame[axis].cat.set_categories(categories, ordered=True)})
    return frame.sort_values(list(PLACE), kind="stable", na_position="first").reset_index(drop=True)
