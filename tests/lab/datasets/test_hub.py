from pathlib import Path
from typing import Any

import datasets as hub
import numpy as np
import pytest
import torch
from PIL import Image
from tests.support import data_folder

from unscathed import BadInputError
from unscathed.lab import datasets


def write(folder: Path, part: str, rows: dict[str, Any], features: hub.Features | None = None) -> None:
    folder.mkdir(exist_ok=True)
    hub.Dataset.from_dict(rows, features=features).to_parquet(folder / f"{part}.parquet")


def pictures(folder: Path, image: str = "image", label: str = "label") -> Path:
    features = hub.Features({image: hub.Image(), label: hub.ClassLabel(names=["no", "yes"])})
    for part, count in (("train", 6), ("test", 4)):
        images = [Image.fromarray(np.full((5, 5), 10 * i, np.uint8)) for i in range(count)]
        write(folder, part, {image: images, label: [i % 2 for i in range(count)]}, features)
    return folder


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    dataset = datasets.parquet(pictures(tmp_path / "shades"), normalise=([0.1], [0.2]))
    assert dataset.name == "shades"
    assert (len(dataset.samples), len(dataset.test)) == (6, 4)
    assert dataset.facts == {"classes": 2, "channels": 1, "shape": (1, 5, 5), "normalise": ([0.1], [0.2])}


def test_numbers_with_classes_that_are_texts_and_ids(tmp_path: Path) -> None:
    write(tmp_path, "first", {"x1": [[0.0, 1.0], [2.0, 3.0]], "y": ["b", "c"], "key": ["p", "q"]})
    write(tmp_path, "last", {"x1": [[4.0, 5.0]], "y": ["a"], "key": ["r"]})
    dataset = datasets.parquet(tmp_path, train="first.parquet", test="last.parquet", inputs="x1", ids="key")
    assert dataset.samples.targets.tolist() == [1, 2]
    assert dataset.test.targets.tolist() == [0]
    assert dataset.samples.classes == ("a", "b", "c")
    assert dataset.samples.ids == ("p", "q")
    assert dataset.samples.inputs.tolist() == [[0, 1], [2, 3]]


def test_classes_without_names_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "train", {"x": [[0.0], [2.0]], "y": [0, 1]})
    write(tmp_path, "test", {"x": [[1.0]], "y": [2]})
    assert datasets.parquet(tmp_path).facts == {"classes": 3}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no folder"):
        datasets.parquet(tmp_path / "nowhere")
    with pytest.raises(BadInputError) as caught:
        datasets.parquet(tmp_path, train="*.a", test="*.b")
    assert [p.split("holds no ")[1] for p in caught.value.problems] == ["*.a", "*.b"]
    with pytest.raises(BadInputError, match="no column 'price'"):
        datasets.parquet(pictures(tmp_path / "shades"), targets="price")


def test_a_hub_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**arguments: Any) -> None:
        assert arguments == {"path": "some/name", "name": "small", "split": ["train[:10%]", "validation"]}
        raise ConnectionError("no such host")

    monkeypatch.setattr(hub, "load_dataset", refuse)
    with pytest.raises(BadInputError, match=r"cannot load some/name: no such host \(without a network"):
        datasets.hugging_face("some/name", config="small", train="train[:10%]", test="validation")


def test_a_data_set_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {part: str(pictures(tmp_path / "a") / f"{part}.parquet") for part in ("train", "test")}
    load = hub.load_dataset

    def answer(path: str, name: str | None, split: list[str]) -> Any:
        return load("parquet", data_files=files, split=split)

    monkeypatch.setattr(hub, "load_dataset", answer)
    dataset = datasets.hugging_face("some/name", train="train[:50%]")
    assert (len(dataset.samples), len(dataset.test)) == (3, 4)
    assert dataset.name == "some/name"
    assert datasets.fashion_mnist(None).facts["normalise"] == ([0.2860], [0.3530])


@pytest.mark.data
def test_parquet_reads_mnist() -> None:
    folder = data_folder("mnist")
    dataset = datasets.parquet(folder, train="test*.parquet")
    assert dataset.facts == {"classes": 10, "channels": 1, "shape": (1, 28, 28)}
    assert len(dataset.samples) == 10_000
    assert float((dataset.test.inputs.float() / 255).mean()) == pytest.approx(0.1325, abs=1e-3)
    assert torch.equal(datasets.parquet(folder, train="test*.parquet").test.targets, dataset.samples.targets)
