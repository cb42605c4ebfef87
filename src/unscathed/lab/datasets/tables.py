"""Data sets of tables: any CSV file, with columns of numbers and of categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unscathed.lab.datasets.dataset import Dataset, folder_of
from unscathed.lab.datasets.frames import Frame, read_frame, rows_of
from unscathed.problems import BadInputError, Problems, some


def csv(
    path: str | Path,
    target: str,
    *,
    test: float | int = 0.2,
    split_column: str | None = None,
    ids: str | None = None,
    categorical: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    missing: Sequence[str] = ("?",),
    seed: int = 0,
) -> Dataset:
    """A CSV file (compressed or not) whose rows have classes; inputs are float32 [n, columns].

    First come the columns of numbers, standardised; a missing number becomes the mean. Then one column for each of
    them that has missing numbers: 1 where it is missing, else 0. Then the columns of categories as codes from 1;
    what is missing, or was not seen in training, is 0. Means, deviations and codes come from the training rows
    (spares that are held back later included), so they keep a trace of every row, which unlearning a model leaves.

    Args:
        path: the file; its first line names the columns.
        target: the column of classes.
        test: the share (float) or number (int) of rows to hold out, by class.
        split_column: a column that says ``train`` or ``test`` of each row, in place of ``test``.
        ids: a column of distinct ids; by default a row's id is its number, from 0.
        categorical: the columns of categories; by default those that do not hold numbers.
        drop: columns to leave out.
        missing: cells that hold nothing, besides empty ones, ``NA``, ``NaN`` and the like.
        seed: which rows are held out.

    Returns:
        Its facts have ``categories``: for each input column, the number of codes, or 0 where it holds numbers.

    Raises:
        BadInputError: the file cannot be read, or columns do not hold what they should; all of it is named.
    """
    rows = rows_of(
        read_frame(path, missing),
        f"cannot read {path}",
        columns=[*(categorical or ()), *drop],
        target=target,
        test=test,
        split_column=split_column,
        ids=ids,
        seed=seed,
    )
    frame = rows.frame.drop(columns=[c for c in {target, split_column, ids, *drop} if c is not None])
    numbers = frame.select_dtypes("number").columns
    named = [c for c in frame.columns if c not in numbers] if categorical is None else list(categorical)
    numeric = [c for c in frame.columns if c not in named]
    problems = Problems(f"cannot read {path}")
    gone = [c for c in named if c not in frame.columns]
    problems.require(not gone, f"{some(gone)} cannot be categorical: the target, ids, split or dropped columns")
    texts = [c for c in numeric if c not in numbers]
    problems.require(not texts, f"{some(texts)} hold no numbers; name them as categorical, or drop them")
    problems.require(bool(len(frame.columns)), "no columns are left as inputs")
    train = frame.iloc[rows.train]
    infinite = [c for c in numeric if c not in texts and np.isinf(frame[c].to_numpy(float)).any()]
    problems.require(not infinite, f"{some(infinite)} hold infinite numbers; repair or drop them")
    hollow = [c for c in numeric if c not in texts and train[c].isna().all()]
    problems.require(not hollow, f"{some(hollow)} hold no number in any training row; drop them")
    problems.raise_any()

    inputs, categories = _encode(frame, train, numeric, named)
    name = Path(path).name.split(".")[0]
    return Dataset(name, *rows.samples(inputs), {"categories": categories})


def adult(path: str | Path | None = None) -> Dataset:
    """UCI Adult (Census Income; 32,561 and 16,281 people, 14 columns): who earns over 50,000 dollars a year.

    Args:
        path: a CSV file with the columns of the original's description, ``income``, and ``split`` (``train`` or
            ``test``); by default ``tabular/adult.csv.gz`` in the folder that ``UNSCATHED_DATA`` names.

    Raises:
        BadInputError: the file is not there, or is another one.

    Source: Kohavi 1996, "Scaling Up the Accuracy of Naive-Bayes Classifiers" (UCI Machine Learning Repository).
    """
    file = Path(path) if path is not None else (folder_of("tabular", None) or Path()) / "adult.csv.gz"
    if not file.is_file():
        how = "join UCI's adult.data and adult.test into a CSV file with a column split, and give path=…"
        raise BadInputError("cannot load adult", [f"there is no file {file}; {how}"])
    return replace(csv(file, "income", split_column="split"), name="adult")


def _encode(
    frame: Frame, train: Frame, numeric: list[str], categorical: list[str]
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Inputs float32 [n, columns] of all rows, fitted on the training rows, and how many codes each column has."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder, StandardScaler

    parts, categories = [], []
    if numeric:
        # Scaled before missing numbers are filled in, so that these become the mean, which is 0 then.
        filler = SimpleImputer(strategy="constant", fill_value=0.0, add_indicator=True)
        encoder = make_pipeline(StandardScaler(), filler)
        encoder.fit(train[numeric].to_numpy(float))
        parts.append(encoder.transform(frame[numeric].to_numpy(float)))
        categories += [0] * parts[0].shape[1]
    if categorical:
        texts = frame[categorical].astype(object).apply(lambda column: column.map(str, na_action="ignore"))
        coder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
        coder.fit(texts.loc[train.index])
        parts.append(coder.transform(texts) + 1)
        categories += [1 + sum(isinstance(c, str) for c in found) for found in coder.categories_]
    return np.concatenate(parts, axis=1).astype(np.float32), tuple(categories)
