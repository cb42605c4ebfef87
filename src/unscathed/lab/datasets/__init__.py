"""Data sets: each function returns a `Dataset`, which unpacks into ``(samples, test)``."""

from unscathed.lab.datasets.characters import characters
from unscathed.lab.datasets.dataset import Dataset
from unscathed.lab.datasets.frozen import features
from unscathed.lab.datasets.hub import hugging_face, parquet
from unscathed.lab.datasets.images import cifar10, digits, fashion_mnist, image_folder, mnist
from unscathed.lab.datasets.tables import adult, csv
from unscathed.lab.datasets.texts import ag_news, text

__all__ = [
    "Dataset",
    "adult",
    "ag_news",
    "characters",
    "cifar10",
    "csv",
    "digits",
    "fashion_mnist",
    "features",
    "hugging_face",
    "image_folder",
    "mnist",
    "parquet",
    "text",
]
