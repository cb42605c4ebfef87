"""Adult and MNIST, cut to what minutes on one core afford."""

from __future__ import annotations

from dataclasses import replace

from unscathed.lab import datasets
from unscathed.lab.datasets import Dataset


def small_adult(training: int, test: int) -> Dataset:
    """So many people to train on and so many to test on, by class, always the same ones."""
    return cut(datasets.adult(), training, test)


def small_mnist(training: int, test: int) -> Dataset:
    """So many training images and so many test images, by class, always the same ones."""
    return cut(datasets.mnist(), training, test)


def cut(dataset: Dataset, training: int, test: int) -> Dataset:
    """Fewer samples of both."""
    smaller = dataset.smaller(training)
    return replace(smaller, test=smaller.test.split(reserve=test, seed=0)[1])
