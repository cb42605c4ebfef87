"""Rows of a file of columns (CSV or parquet): classes, ids, and which rows are held out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unscathed.problems import BadInputError, Problems, some
from unscathed.samples import Samples

Frame = Any
"""A `pandas.DataFrame`."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a file.

    Args:
        frame: all columns.
        labels: the class of each row, int64 [n].
        classes: what the classes are called.
        ids: of each row.
        train: positions of the rows to train on.
        test: positions of the rows held out.
    """

    frame: Frame
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    train: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]

    def samples(self, inputs: Any) -> tuple[Samples, Samples]:
        """Samples of inputs [n, ...] of all rows: those to train on, and those held out."""
        first, second = (
            Samples(inputs[part], self.labels[part], [self.ids[i] for i in part.tolist()], classes=self.classes)
            for part in (self.train, self.test)
        )
        return first, second


def rows_of(
    frame: Frame,
    what: str,
    *,
    columns: Iterable[str],
    target: str,
    test: float | int,
    split_column: str | None,
    ids: str | None,
    seed: int,
) -> Rows:
    """Decide what the rows of a file are called and which are held out.

    Args:
        frame: the file's columns.
        what: what is being attempted, for the error.
        columns: others that must be there.
        target: the column of classes.
        test: the share or number of rows to hold out, by class; not used where ``split_column`` is given.
        split_column: a column that says ``train`` or ``test`` of each row.
        ids: a column of distinct ids; None takes the row's number, from 0.
        seed: which rows are held out.

    Raises:
        BadInputError: columns are missing or do not hold what they should.
    """
    problems = Problems(what)
    wanted = dict.fromkeys([*columns, target, *(c for c in (split_column, ids) if c is not None)])
    absent = [c for c in wanted if c not in frame.columns]
    problems.require(not absent, f"there is no column {some(absent)}; it has {some(frame.columns, 30)}")
    problems.require(len(frame) >= 2, f"it has {len(frame)} rows; at least one to train on and one to test on")
    problems.raise_any()

    labels, classes = _classes(frame[target], problems)
    if ids is not None:
        repeated = frame[ids][frame[ids].duplicated()]
        problems.require(not len(repeated), f"ids in {ids!r} are repeated ({some(repeated)})")
    named = range(len(frame)) if ids is None else frame[ids]
    in_test = _in_test(frame, split_column, problems)
    if split_column is None:
        allowed = 1 <= test < len(frame) if isinstance(test, int) else 0 < test < 1
        problems.require(allowed, f"test={test} must be a share between 0 and 1, or a number below {len(frame)} rows")
    problems.raise_any()
    if in_test is None:
        numbered = Samples(np.arange(len(frame)), labels, range(len(frame)))
        train, held_out = (part.inputs.numpy() for part in numbered.split(reserve=test, seed=seed))
    else:
        train, held_out = np.flatnonzero(~in_test), np.flatnonzero(in_test)
    return Rows(frame, labels, classes, tuple(map(str, named)), train, held_out)


def read_frame(path: str | Path, missing: Sequence[str] = ()) -> Frame:
    """A file as a data frame.

    Args:
        path: CSV (compressed or not) or, by its suffix, parquet.
        missing: cells that hold nothing, besides pandas' own.

    Raises:
        BadInputError: it is not there, or is not what its suffix says.
    """
    what = f"cannot read {path}"
    try:
        import pandas
    except ImportError as error:
        raise BadInputError(what, ["pandas is missing; pip install 'unscathed[lab]'"]) from error

    if not Path(path).is_file():
        raise BadInputError(what, ["there is no such file"])
    try:
        if Path(path).suffix == ".parquet":
            return pandas.read_parquet(path)
        return pandas.read_csv(path, na_values=list(missing), skipinitialspace=True, low_memory=False)
    except (ValueError, OSError, EOFError) as error:  # pandas' and Arrow's own are ValueErrors
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadInputError(what, [f"{reason}; give a CSV with a header line, compressed or not"]) from error


def _classes(column: Any, problems: Problems) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    empty = column.index[column.isna()].tolist()
    problems.require(not empty, f"{len(empty)} rows have no {column.name!r} (rows {some(empty)}); drop them")
    codes, names = column.factorize(sort=True)
    measured = column.dtype.kind == "f" and not (column.dropna() % 1 == 0).all()
    problems.require(
        len(names) >= 2 and len(names) <= len(column) / 2 and not measured,
        f"{column.name!r} holds {len(names)} different values in {len(column)} rows; classes are needed",
    )
    return codes.astype(np.int64), tuple(map(str, names))


def _in_test(frame: Frame, split_column: str | None, problems: Problems) -> npt.NDArray[np.bool_] | None:
    if split_column is None:
        return None
    found = set(frame[split_column].unique().tolist())
    problems.require(
        found == {"train", "test"}, f"{split_column!r} holds {some(sorted(map(str, found)))}; it must say train or test"
    )
    in_test: npt.NDArray[np.bool_] = (frame[split_column] == "test").to_numpy()
    return in_test
