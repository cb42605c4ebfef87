"""Data sets of texts with classes, word by word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unscathed.lab.datasets.dataset import Dataset, folder_of
from unscathed.lab.datasets.frames import Frame, read_frame, rows_of
from unscathed.lab.datasets.hub import hub_parts
from unscathed.lab.datasets.vocabulary import numbered, problems_with_vocabulary
from unscathed.problems import Problems

WORD = re.compile(r"\w+(?:'\w+)*")


def text(
    path: str | Path,
    text: str | Sequence[str],
    target: str,
    *,
    vocabulary: int = 8000,
    length: int = 64,
    test: float | int = 0.2,
    split_column: str | None = None,
    ids: str | None = None,
    seed: int = 0,
) -> Dataset:
    """Texts with classes, from a file of columns; inputs are words by number, int64 [n, length].

    Words are runs of letters and digits in lower case. Their numbers come from the training rows (spares that are held
    back later included), the most frequent first, from 2; 0 is padding after a text's end, 1 any other word.

    Args:
        path: CSV (compressed or not) or, by its suffix, parquet.
        text: the column of texts; of several, the texts are joined (``["title", "text"]``).
        target: the column of classes.
        vocabulary: how many numbers there are at most, the two special ones included.
        length: words a text; longer ones are cut.
        test: the share (float) or number (int) of rows to hold out, by class.
        split_column: a column that says ``train`` or ``test`` of each row, in place of ``test``.
        ids: a column of distinct ids; by default a row's id is its number, from 0.
        seed: which rows are held out.

    Returns:
        Its facts have ``vocabulary`` (the numbers in use) and ``length``.

    Raises:
        BadInputError: the file cannot be read, or columns do not hold what they should; all of it is named.
    """
    return _texts(
        read_frame(path),
        f"cannot read {path}",
        Path(path).name.split(".")[0],
        [text] if isinstance(text, str) else list(text),
        target,
        vocabulary=vocabulary,
        length=length,
        test=test,
        split_column=split_column,
        ids=ids,
        seed=seed,
    )


def ag_news(
    path: str | Path | None = None,
    *,
    vocabulary: int = 8000,
    length: int = 64,
    test: float | int = 0.2,
    seed: int = 0,
) -> Dataset:
    """AG News: the first words of news, in four classes; from a file, or from the hub (``fancyzhx/ag_news``).

    The hub's 120,000 training texts and 7,600 test texts keep their parts. A file is split here, by the seed. That
    goes for ``text/agnews_test.csv.gz`` in the folder that ``UNSCATHED_DATA`` names as well, the default where it is
    there: it holds the 7,600 test texts alone, so results on it are of another and much smaller data set.

    Args:
        path: a CSV file with the columns ``label`` (1 to 4), ``title`` and ``text``.
        vocabulary: see `text`.
        length: see `text`.
        test: of a file: the share or number of texts to hold out, by class.
        seed: of a file: which are held out.

    Raises:
        BadInputError: it cannot be read, or be had.

    Source: Zhang et al. 2015, "Character-level Convolutional Networks for Text Classification".
    """
    folder = folder_of("text", None)
    local = folder / "agnews_test.csv.gz" if folder is not None else None
    if path is None and local is not None and local.is_file():
        path = local
    if path is not None:
        frame, columns, split_column = read_frame(path), ["title", "text"], None
    else:
        frame, columns, split_column = _joined_parts("fancyzhx/ag_news"), ["text"], "split"
    return _texts(
        frame,
        "cannot load AG News",
        "ag_news",
        columns,
        "label",
        classes=("World", "Sports", "Business", "Sci/Tech"),
        vocabulary=vocabulary,
        length=length,
        test=test,
        split_column=split_column,
        seed=seed,
    )


def _texts(
    frame: Frame,
    what: str,
    name: str,
    columns: list[str],
    target: str,
    *,
    vocabulary: int,
    length: int,
    test: float | int,
    split_column: str | None,
    seed: int,
    ids: str | None = None,
    classes: tuple[str, ...] | None = None,
) -> Dataset:
    problems = Problems(what)
    problems.require(bool(columns), "no column of texts is named")
    problems.require(length >= 1, f"length={length} must be at least 1 word")
    problems.extend(problems_with_vocabulary(vocabulary))
    problems.raise_any()
    rows = rows_of(
        frame, what, columns=columns, target=target, test=test, split_column=split_column, ids=ids, seed=seed
    )
    if classes is not None:
        problems.require(
            len(rows.classes) == len(classes), f"{target!r} holds {rows.classes}; it should say which of {classes}"
        )
        problems.raise_any()
        rows = replace(rows, classes=classes)
    joined = frame[columns].fillna("").astype(str).agg(" ".join, axis=1)
    words = [WORD.findall(t.lower())[:length] for t in joined]
    inputs, used = numbered(words, rows.train, vocabulary, length)
    return Dataset(name, *rows.samples(inputs), {"vocabulary": used, "length": length})


def _joined_parts(name: str) -> Frame:
    """Both parts of a data set of the hub as one data frame that says which row is of which."""
    import pandas

    train, test = (part.to_pandas() for part in hub_parts(name))
    return pandas.concat([train.assign(split="train"), test.assign(split="test")], ignore_index=True)
