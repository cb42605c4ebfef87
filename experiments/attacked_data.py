"""Data sets cut to what minutes on one core afford, and frozen features where a network would take hours."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from unscathed.lab import datasets
from unscathed.lab.datasets import Dataset, encoders
from unscathed.lab.datasets.frames import read_frame, rows_of


def small_adult(training: int, test: int) -> Dataset:
    """So many people to train on and so many to test on, by class, always the same ones."""
    return cut(datasets.adult(), training, test)


def small_mnist(training: int, test: int) -> Dataset:
    """So many training images and so many test images, by class, always the same ones."""
    return cut(datasets.mnist(), training, test)


def ag_news_features(training: int, test: int) -> Dataset:
    """Features of so many news to train on and so many to test on, all from the test split of AG News."""
    frame = read_frame(data_folder() / "text" / "agnews_test.csv.gz")
    columns = ["title", "text"]
    rows = rows_of(
        frame, "cannot cut AG News", columns=columns, target="label", test=test, split_column=None, ids=None, seed=0
    )
    texts = [f"{title}. {text}" for title, text in zip(frame["title"], frame["text"], strict=True)]
    numbered = Dataset("ag_news", *rows.samples(torch.arange(len(texts)))).smaller(training)
    return datasets.features(
        numbered, lambda which: encoders.minilm_l6([texts[i] for i in which.tolist()]), batch_size=1024
    )


def cifar10_features(training: int, test: int) -> Dataset:
    """Features of so many small photographs, enlarged, to train on and to test on, by class, always the same ones."""
    return datasets.features(cut(datasets.cifar10(), training, test), enlarged)


def animals3_features() -> Dataset:
    """Features of all photographs of three animals."""
    return datasets.features(datasets.image_folder(data_folder() / "animals3", size=128), encoders.efficientnet_lite0)


def enlarged(images: Tensor) -> Tensor:
    """Features of images of 32 pixels, by an encoder that has learned from larger ones."""
    return encoders.efficientnet_lite0(nn.functional.interpolate(images.float(), scale_factor=4, mode="bilinear"))


def cut(dataset: Dataset, training: int, test: int) -> Dataset:
    """Fewer samples of both."""
    smaller = dataset.smaller(training)
    return replace(smaller, test=smaller.test.split(reserve=test, seed=0)[1])


def data_folder() -> Path:
    """The folder named by UNSCATHED_DATA."""
    return Path(os.environ["UNSCATHED_DATA"])
