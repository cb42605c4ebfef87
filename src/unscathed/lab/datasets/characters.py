"""Data sets of characters to predict, from any text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from unscathed.lab.datasets.dataset import Dataset
from unscathed.lab.datasets.frames import Frame, read_frame
from unscathed.lab.datasets.vocabulary import numbered, problems_with_vocabulary
from unscathed.problems import Problems, some
from unscathed.samples import Samples


def characters(
    path: str | Path,
    *,
    column: str | None = None,
    length: int = 128,
    vocabulary: int = 256,
    test: float | int = 0.1,
    seed: int = 0,
) -> Dataset:
    """Texts to predict character by character; inputs are characters by number, int64 [n, length], without targets.

    Texts are cut into samples that do not overlap; a text's end is padded with 0. The numbers come from the training
    samples, the most frequent first, from 2; 1 is any other character.

    Args:
        path: a text file (UTF-8), or with ``column`` a CSV or parquet file.
        column: the column of texts, cut one by one; a sample's id is then ``row/piece``, else the piece's number.
        length: characters a sample.
        vocabulary: how many numbers there are at most, the two special ones included.
        test: the share (float) or number (int) of samples to hold out; with ``column``, of rows.
        seed: which are held out. They lie scattered over a file, so that held-out samples are like the others.

    Returns:
        Its facts have ``vocabulary`` (the numbers in use) and ``length``.

    Raises:
        BadInputError: the file cannot be read, or is too short.
    """
    problems = Problems(f"cannot read {path}")
    problems.require(length >= 2, f"length={length} must be at least 2 characters: one is given, the others predicted")
    problems.extend(problems_with_vocabulary(vocabulary))
    texts = _file(path, problems) if column is None else _column(read_frame(path), column, problems)
    problems.raise_any()
    # A single character has nothing that could be predicted from it.
    pieces = [
        (row, piece, text[start : start + length])
        for row, text in enumerate(texts)
        for piece, start in enumerate(range(0, len(text) - 1, length))
    ]
    unit_of = np.array([row if column is not None else piece for row, piece, _ in pieces], dtype=np.int64)
    units = np.unique(unit_of)
    count = f"{len(units)} rows" if column is not None else f"{len(units)} pieces of {length} characters"
    allowed = 1 <= test < len(units) if isinstance(test, int) else 0 < test < 1
    problems.require(len(units) >= 2, f"it has {count}; at least 2 are needed")
    problems.require(allowed, f"test={test} must be a share between 0 and 1, or a number below {count}")
    problems.raise_any()

    held_out = np.isin(unit_of, train_test_split(units, test_size=test, random_state=seed)[1])
    train = np.flatnonzero(~held_out)
    inputs, used = numbered([text for _, _, text in pieces], train, vocabulary, length)
    ids = [f"{row}/{piece}" if column is not None else str(piece) for row, piece, _ in pieces]
    samples, rest = (Samples(inputs[p], None, [ids[i] for i in p.tolist()]) for p in (train, np.flatnonzero(held_out)))
    return Dataset(Path(path).name.split(".")[0], samples, rest, {"vocabulary": used, "length": length})


def _file(path: str | Path, problems: Problems) -> list[str]:
    """A text file, as one text."""
    try:
        return [Path(path).read_text(encoding="utf-8")]
    except (OSError, UnicodeDecodeError) as error:
        problems.require(False, f"{error}; give a text file in UTF-8, or a column of a CSV or parquet file")
    return [""]


def _column(frame: Frame, column: str, problems: Problems) -> list[str]:
    """A column of texts; missing ones are empty."""
    if not problems.require(column in frame.columns, f"no column {column!r}; it has {some(frame.columns, 30)}"):
        return [""]
    texts: list[str] = frame[column].fillna("").astype(str).tolist()
    return texts
