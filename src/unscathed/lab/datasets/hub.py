"""Any data set of the Hugging Face hub, or parquet files in the same layout, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unscathed.lab.datasets.dataset import Dataset
from unscathed.problems import BadInputError, Problems
from unscathed.samples import Samples
from unscathed.sources import TARGET_COLUMNS

Parts = tuple[Any, Any]
"""Two `datasets.Dataset`: to train on, and held out."""


def hugging_face(
    name: str,
    *,
    config: str | None = None,
    train: str = "train",
    test: str = "test",
    inputs: str | None = None,
    targets: str | None = None,
    ids: str | None = None,
    normalise: tuple[list[float], list[float]] | None = None,
) -> Dataset:
    """A data set of images or numbers from the Hugging Face hub.

    Args:
        name: the data set's name there, e.g. ``"ylecun/mnist"``.
        config: which of its configurations, where it has several.
        train: the split to train on; a slice is allowed (``"train[:80%]"``).
        test: the split held out.
        inputs: the column of images (or of equally long lists of numbers); guessed where it has a usual name.
        targets: the column of classes or numbers; guessed likewise.
        ids: a column of distinct ids; by default ids are digests of the content.
        normalise: ``(mean, std)`` of each input channel, in [0, 1], for the task.

    Raises:
        BadInputError: the data set cannot be had, or a split or column is missing.
    """
    parts = hub_parts(name, train=train, test=test, config=config)
    return _dataset(name, parts, inputs, targets, ids, normalise)


def parquet(
    path: str | Path,
    *,
    train: str = "train*.parquet",
    test: str = "test*.parquet",
    inputs: str | None = None,
    targets: str | None = None,
    ids: str | None = None,
    normalise: tuple[list[float], list[float]] | None = None,
) -> Dataset:
    """A data set of images or numbers from a folder of parquet files, in the layout of the Hugging Face hub.

    Args:
        path: the folder.
        train: pattern of the files to train on.
        test: pattern of the files held out.
        inputs: see `hugging_face`.
        targets: see `hugging_face`.
        ids: see `hugging_face`.
        normalise: see `hugging_face`.

    Raises:
        BadInputError: the folder or files are not there, or a column is missing.
    """
    parts = parquet_parts(path, train=train, test=test)
    return _dataset(Path(path).resolve().name, parts, inputs, targets, ids, normalise)


def hub_or_parquet(name: str, folder: Path | None, *, test: str = "test") -> tuple[Samples, Samples]:
    """Samples of a data set of the hub, or of its copy in a folder of parquet files where there is one."""
    parts = hub_parts(name, test=test) if folder is None else parquet_parts(folder, what=f"cannot load {name}")
    return Samples.from_hugging_face(parts[0]), Samples.from_hugging_face(parts[1])


def hub_parts(name: str, *, train: str = "train", test: str = "test", config: str | None = None) -> Parts:
    """Two splits of a data set of the hub.

    Raises:
        BadInputError: it cannot be had.
    """
    hint = " (without a network, take a copy in parquet files)"
    return _load(f"cannot load {name}", hint, (train, test), path=name, name=config)


def parquet_parts(
    path: str | Path, *, train: str = "train*.parquet", test: str = "test*.parquet", what: str | None = None
) -> Parts:
    """The two parts of a data set in a folder of parquet files.

    Raises:
        BadInputError: the folder or files are not there, or cannot be read.
    """
    folder = Path(path)
    problems = Problems(what or f"cannot load {folder}")
    files: dict[str, list[str]] = {}
    if problems.require(folder.is_dir(), f"there is no folder {folder}"):
        for part, pattern in (("train", train), ("test", test)):
            files[part] = sorted(map(str, folder.glob(pattern)))
            problems.require(bool(files[part]), f"{folder} holds no {pattern}")
    problems.raise_any()
    return _load(problems.what, "", ("train", "test"), path="parquet", data_files=files)


def _load(what: str, hint: str, splits: tuple[str, str], **arguments: Any) -> Parts:
    try:
        import datasets
    except ImportError as error:
        raise BadInputError(what, ["datasets is missing; pip install 'unscathed[lab]'"]) from error

    datasets.disable_progress_bars()
    try:
        first, second = datasets.load_dataset(**arguments, split=list(splits))
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadInputError(what, [f"{reason}{hint}"]) from error
    return first, second


def _dataset(
    name: str,
    parts: Parts,
    inputs: str | None,
    targets: str | None,
    ids: str | None,
    normalise: tuple[list[float], list[float]] | None,
) -> Dataset:
    column = targets or next((c for c in TARGET_COLUMNS if c in parts[0].column_names), None)
    if column is not None:
        parts = _with_class_indices(parts, column)
    samples, test = (Samples.from_hugging_face(part, inputs=inputs, targets=targets, ids=ids) for part in parts)
    facts: dict[str, Any] = {"normalise": normalise} if normalise else {}
    if samples.classes is None and samples.targets.numel() and not samples.targets.is_floating_point():
        facts["classes"] = 1 + max(int(part.targets.max()) for part in (samples, test))
    return Dataset(name, samples, test, facts)


def _with_class_indices(parts: Parts, targets: str) -> Parts:
    """The parts with a target column of texts as class indices, the same in both; other columns stay."""
    import datasets

    columns = [part.features.get(targets) for part in parts]
    if not all(isinstance(c, datasets.Value) and c.dtype in ("string", "large_string") for c in columns):
        return parts
    names = sorted({name for part in parts for name in part.unique(targets)})
    first, second = (part.cast_column(targets, datasets.ClassLabel(names=names)) for part in parts)
    return first, second
