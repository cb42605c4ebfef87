from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.support import data_folder

from unscathed import BadInputError
from unscathed.lab import datasets
from unscathed.lab.setups import setup


def test_digits_are_whole_and_repeat_themselves() -> None:
    samples, test = datasets.digits()
    assert (len(samples), len(test)) == (1438, 359)
    assert samples.dtype == torch.uint8
    assert samples.shape == (1, 8, 8)
    assert int(samples.inputs.max()) == 255
    assert torch.bincount(test.targets).min() >= 34
    assert datasets.digits().test.ids == test.ids
    assert datasets.digits(seed=1).test.ids != test.ids


def folder_of(tmp_path: Path, parts: dict[str, list[str]]) -> Path:
    for part, classes in parts.items():
        for name in classes:
            (tmp_path / part / name).mkdir(parents=True)
            Image.fromarray(np.full((40, 50, 3), 9, np.uint8)).save(tmp_path / part / name / "1.jpg")
    return tmp_path


@pytest.mark.parametrize("held_out", ["val", "test"])
def test_image_folders_in_afhqs_layout(held_out: str, tmp_path: Path) -> None:
    samples, test = datasets.image_folder(folder_of(tmp_path, {"train": ["cat", "dog"], held_out: ["cat", "dog"]}))
    assert (len(samples), len(test)) == (2, 2)
    assert samples.shape == (3, 32, 32)


def test_image_folders_that_are_not_whole(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no such folder"):
        datasets.image_folder(tmp_path / "nowhere")
    with pytest.raises(BadInputError) as caught:
        datasets.image_folder(tmp_path)
    assert len(caught.value.problems) == 2
    folder = folder_of(tmp_path, {"train": ["cat"], "val": ["dog"]})
    with pytest.raises(BadInputError, match="must be the same"):
        datasets.image_folder(folder)
    (folder / "train" / "cat" / "2.jpg").write_bytes(b"")
    (folder / "val" / "dog" / "3.jpg").write_bytes(b"")
    with pytest.raises(BadInputError) as caught:
        datasets.image_folder(folder)
    assert len(caught.value.problems) == 2, "what is wrong with both parts is named"


def test_data_sets_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no folder"):
        datasets.mnist(tmp_path / "nowhere")
    with pytest.raises(BadInputError) as caught:
        datasets.cifar10(tmp_path)
    assert [p.split("holds no ")[1] for p in caught.value.problems] == ["train*.parquet", "test*.parquet"]
    (tmp_path / "train.parquet").write_bytes(b"nothing")
    (tmp_path / "test.parquet").write_bytes(b"nothing")
    with pytest.raises(BadInputError, match="cannot load"):
        datasets.mnist(tmp_path)
    with pytest.raises(BadInputError, match="no model of its own"):
        setup("imagenet")


@pytest.mark.data
def test_mnist_is_mnist() -> None:
    samples, test = datasets.mnist(data_folder("mnist"))
    assert (len(samples), len(test)) == (60_000, 10_000)
    pixels = samples.inputs.float() / 255
    assert float(pixels.mean()) == pytest.approx(0.13066, abs=1e-5)
    assert float(pixels.std()) == pytest.approx(0.30811, abs=1e-5)
    assert samples.dtype == torch.uint8


@pytest.mark.data
def test_cifar10_is_cifar10() -> None:
    samples, test = datasets.cifar10(data_folder("cifar10"))
    assert (len(samples), len(test)) == (50_000, 10_000)
    means = (test.inputs.float() / 255).mean((0, 2, 3))
    assert means.tolist() == pytest.approx([0.494, 0.485, 0.450], abs=2e-3)
    assert torch.bincount(samples.targets).tolist() == [5000] * 10
    assert samples.classes is not None
    assert samples.classes[0] == "airplane"


@pytest.mark.data
def test_fashion_mnist_is_read_in_mnists_layout(tmp_path: Path) -> None:
    """There may be no copy of it: MNIST's files are laid out the same."""
    for part in ("train", "test"):
        (tmp_path / f"{part}.parquet").symlink_to(data_folder("mnist") / "test.parquet")
    dataset = datasets.fashion_mnist(tmp_path)
    assert (len(dataset.samples), len(dataset.test)) == (10_000, 10_000)
    assert dataset.facts == {"classes": 10, "channels": 1, "shape": (1, 28, 28), "normalise": ([0.2860], [0.3530])}
