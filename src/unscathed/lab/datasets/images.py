"""Data sets of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unscathed.lab.datasets.dataset import Dataset, folder_of
from unscathed.lab.datasets.hub import hub_or_parquet
from unscathed.problems import BadInputError, Problems
from unscathed.samples import Samples


def digits(*, seed: int = 0) -> Dataset:
    """scikit-learn's handwritten digits (1,797 of 8×8 pixels, 10 classes), a fifth of them as test samples.

    Source: Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits" (UCI), shipped with scikit-learn.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.round(data.images * (255 / 16)).astype(np.uint8)[:, None]
    ids = [f"digit-{i}" for i in range(len(pixels))]
    samples, test = Samples(pixels, data.target, ids, classes=[str(c) for c in range(10)]).split(reserve=0.2, seed=seed)
    return Dataset("digits", samples, test)


def mnist(path: str | Path | None = None, *, training: int | None = None) -> Dataset:
    """MNIST (60,000 and 10,000 of 28×28 pixels), from a folder of parquet files or from the hub (``ylecun/mnist``).

    Args:
        path: the folder.
        training: so many of the training samples alone, by class, for what must end soon.
    """
    parts = hub_or_parquet("ylecun/mnist", folder_of("mnist", path))
    dataset = Dataset("mnist", *parts, {"normalise": ([0.1307], [0.3081])})
    return dataset.smaller(training)


def fashion_mnist(path: str | Path | None = None, *, training: int | None = None) -> Dataset:
    """Fashion-MNIST (MNIST's sizes), from parquet files or from the hub (``zalando-datasets/fashion_mnist``).

    Args:
        path: as for `mnist`.
        training: as for `mnist`.

    Source: Xiao et al. 2017, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms".
    """
    parts = hub_or_parquet("zalando-datasets/fashion_mnist", folder_of("fashion_mnist", path))
    dataset = Dataset("fashion_mnist", *parts, {"normalise": ([0.2860], [0.3530])})
    return dataset.smaller(training)


def cifar10(path: str | Path | None = None, *, training: int | None = None) -> Dataset:
    """CIFAR-10 (50,000 and 10,000 of 32×32 pixels), from parquet files or from the hub (``uoft-cs/cifar10``).

    Args:
        path: as for `mnist`.
        training: as for `mnist`.
    """
    parts = hub_or_parquet("uoft-cs/cifar10", folder_of("cifar10", path))
    dataset = Dataset("cifar10", *parts, {"normalise": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])})
    return dataset.smaller(training)


def image_folder(path: str | Path, *, size: int = 32) -> Dataset:
    """An image folder in AFHQ's layout: ``train/CLASS/*`` and ``val/CLASS/*`` or ``test/CLASS/*``.

    Args:
        path: the folder.
        size: images are cropped to a square and resized to this many pixels.

    Raises:
        BadInputError: parts are missing, their classes differ, or images cannot be read.
    """
    folder = Path(path)
    problems = Problems(f"cannot read the image folder {folder}")
    held_out = next((folder / name for name in ("val", "test") if (folder / name).is_dir()), None)
    if problems.require(folder.is_dir(), "there is no such folder"):
        problems.require((folder / "train").is_dir(), "it has no train/CLASS folders")
        problems.require(held_out is not None, "it has no val/CLASS or test/CLASS folders")
    problems.raise_any()
    assert held_out is not None
    parts = []
    for part in (folder / "train", held_out):
        try:
            parts.append(Samples.from_image_folder(part, size=size))
        except BadInputError as error:
            problems.extend(f"{part.name}: {p}" for p in error.problems)
    problems.raise_any()
    train, test = parts
    problems.require(
        train.classes == test.classes,
        f"train has the classes {train.classes}, {held_out.name} has {test.classes}; they must be the same",
    )
    problems.raise_any()
    return Dataset(folder.resolve().name, train, test, {"normalise": ([0.5] * 3, [0.25] * 3)})
