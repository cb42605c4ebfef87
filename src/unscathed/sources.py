"""Where samples come from: torch datasets, Hugging Face datasets, image folders, read into plain arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unscathed.problems import BadInputError, Problems, some

Array = npt.NDArray[Any]

INPUT_COLUMNS = ("image", "img", "inputs", "input", "x")
TARGET_COLUMNS = ("label", "labels", "target", "targets", "y")
"""What the columns of Hugging Face datasets are usually called."""

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def as_tensor(values: Any, name: str, problems: Problems) -> Tensor:
    """A tensor of an array, a tensor or a list of equally shaped ones; what is wrong with them is noted.

    Args:
        values: what to read.
        name: what to call it in problems.
        problems: where to note them; something empty is returned then.
    """
    if isinstance(values, Tensor):
        return values.detach().cpu()  # training moves samples to its device where they fit
    if isinstance(values, list | tuple) and values:
        shapes = Counter(tuple(np.shape(v)) for v in values)
        if len(shapes) > 1:
            problems.require(False, f"{name} have mixed shapes ({some(shapes)}); make them equal, e.g. resize")
            return torch.empty(len(values), 0)
        if isinstance(values[0], Tensor):
            return torch.stack(list(values)).detach().cpu()
    array = np.asarray(values)
    if not problems.require(
        array.dtype.kind in "biuf", f"{name} are of type {array.dtype}; give numbers (encode text and categories first)"
    ):
        return torch.empty(len(array) if array.ndim else 0, 0)
    return torch.from_numpy(np.ascontiguousarray(array))


def read_dataset(dataset: Any) -> tuple[list[Any], list[Any] | None, tuple[str, ...] | None]:
    """Inputs, targets and class names of a map-style torch dataset of ``(input, target)`` pairs (or inputs alone).

    Raises:
        BadInputError: the dataset has no length, or no items.
    """
    problems = Problems("cannot read the dataset")
    sized = problems.require(
        hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__"),
        f"{type(dataset).__name__} is not map-style; it needs __len__ and __getitem__ (list() an iterable one first)",
    )
    if sized:
        problems.require(len(dataset) > 0, "it has no items")
    problems.raise_any()
    items = [dataset[i] for i in range(len(dataset))]
    names = getattr(dataset, "classes", None)
    classes = tuple(map(str, names)) if names is not None else None
    if isinstance(items[0], tuple | list):
        return [_pixels(item[0]) for item in items], [np.asarray(item[1]) for item in items], classes
    return [_pixels(item) for item in items], None, classes


def read_hugging_face(
    dataset: Any, inputs: str | None, targets: str | None, ids: str | None
) -> tuple[list[Any], Array | None, list[str] | None, tuple[str, ...] | None]:
    """Inputs, targets, ids and declared class names of a Hugging Face dataset's columns.

    Raises:
        BadInputError: a named column is missing, or none can be guessed.
    """
    columns = list(dataset.column_names)
    problems = Problems("cannot read the Hugging Face dataset")
    inputs = inputs or next((c for c in INPUT_COLUMNS if c in columns), None)
    targets = targets or next((c for c in TARGET_COLUMNS if c in columns), None)
    problems.require(inputs is not None, f"no input column among {columns}; name it with inputs=…")
    for column in filter(None, (inputs, targets, ids)):
        problems.require(column in columns, f"there is no column {column!r}; it has {columns}")
    problems.raise_any()
    assert inputs is not None
    rows, unreadable = _column(dataset, inputs)
    problems.require(not unreadable, f"{len(unreadable)} images cannot be read (rows {some(unreadable)})")
    problems.raise_any()
    names = getattr(dataset.features[targets], "names", None) if targets else None
    return (
        rows,
        np.asarray(dataset[targets]) if targets else None,
        [str(i) for i in dataset[ids]] if ids else None,
        tuple(names) if names else None,
    )


def _column(dataset: Any, name: str) -> tuple[list[Any], list[int]]:
    """The cells of a column, images as pixels, and the positions of those that cannot be read or are missing."""
    feature = dataset.features[name]
    cells: Iterable[Any] = range(len(dataset))
    read: Callable[[Any], Any] = lambda position: dataset[position][name]  # noqa: E731
    if getattr(feature, "decode", False) and dataset.format["type"] is None:
        # Encoded images are read a thousand at a time, and decoded here: decoded row by row, they take twice the time.
        encoded = dataset.select_columns([name]).cast_column(name, replace(feature, decode=False))
        cells = (cell for start in range(0, len(dataset), 1000) for cell in encoded[start : start + 1000][name])
        read = feature.decode_example
    rows: list[Any] = []
    unreadable: list[int] = []
    for position, cell in enumerate(cells):
        try:
            if cell is None:
                raise OSError("there is no image")
            rows.append(_pixels(read(cell)))
        except OSError:
            unreadable.append(position)
    return rows, unreadable


def read_image_folder(folder: Path, size: int | None) -> tuple[list[Array], Array, list[str], tuple[str, ...]]:
    """Images [3, H, W] uint8, class indices, ids (``CLASS/file.jpg``) and class names of ``folder/CLASS/*``.

    Args:
        folder: holds one folder a class.
        size: crop the middle square and resize it to ``size`` pixels; None leaves images as they are.

    Raises:
        BadInputError: the folder is missing or empty, or images cannot be read (all are named at once).
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise BadInputError("cannot read images", ["Pillow is missing; pip install 'unscathed[lab]'"]) from error

    problems = Problems(f"cannot read the image folder {folder}")
    if not problems.require(folder.is_dir(), "there is no such folder; it should hold one folder a class"):
        problems.raise_any()
    classes = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir()))
    files = [
        (label, path)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    problems.require(bool(files), "it holds no images; expected CLASS/*.jpg (or png, webp …)")
    problems.raise_any()
    images: list[Array] = []
    unreadable: list[str] = []
    for _, path in files:
        try:
            with Image.open(path) as opened:
                image = opened.convert("RGB")
        except (OSError, UnidentifiedImageError):
            unreadable.append(str(path.relative_to(folder)))
            continue
        if size is not None:
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BOX)
        images.append(_pixels(image))
    problems.require(
        not unreadable, f"{len(unreadable)} images cannot be read ({some(unreadable)}); repair or remove them"
    )
    problems.raise_any()
    labels = np.array([label for label, _ in files])
    return images, labels, [str(path.relative_to(folder)) for _, path in files], classes


def _pixels(value: Any) -> Any:
    """An image becomes uint8 [channels, height, width]; anything else passes unchanged."""
    if isinstance(value, Tensor | np.ndarray | int | float | list):
        return value
    array = np.asarray(value)
    if array.ndim == 2 and array.dtype == np.uint8:
        return array[None]
    if array.ndim == 3 and array.dtype == np.uint8:
        return np.ascontiguousarray(array.transpose(2, 0, 1))
    return torch.as_tensor(array)
