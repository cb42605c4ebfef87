from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from tests.support import data_folder
from unscathed import BadInputError, Samples


def picture(seed: int, size: tuple[int, int] = (6, 4), channels: int = 3) -> np.ndarray:
    shape = (*size, channels) if channels > 1 else size
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("dog", "cat"):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.fromarray(picture(i)).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_a_torch_dataset() -> None:
    inputs, targets = torch.randn(5, 3), torch.arange(5)
    samples = Samples.from_dataset(TensorDataset(inputs, targets))
    assert torch.equal(samples.inputs, inputs)
    assert torch.equal(samples.targets, targets)


def test_an_iterable_dataset_is_refused() -> None:
    with pytest.raises(BadInputError, match="not map-style"):
        Samples.from_dataset(x for x in range(3))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_hugging_face_dataset_of_images(channels: int) -> None:
    pictures = [picture(i, channels=channels) for i in range(3)]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["no", "yes"]), "key": datasets.Value("string")}
    )
    rows = {"image": [Image.fromarray(p) for p in pictures], "label": [0, 1, 1], "key": ["a", "b", "c"]}
    samples = Samples.from_hugging_face(datasets.Dataset.from_dict(rows, features=features), ids="key")
    expected = np.stack(pictures)
    expected = expected[:, None] if channels == 1 else expected.transpose(0, 3, 1, 2)
    assert np.array_equal(samples.inputs.numpy(), expected)
    assert samples.dtype == torch.uint8
    assert samples.targets.tolist() == [0, 1, 1]
    assert samples.classes == ("no", "yes")
    assert samples.ids == ("a", "b", "c")


def test_hugging_face_images_that_are_damaged_or_transformed() -> None:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    rows = {"image": [Image.fromarray(picture(i)) for i in range(3)], "label": [0, 1, 1]}
    made = datasets.Dataset.from_dict(rows, features=features)
    flipped = made.with_transform(lambda batch: {**batch, "image": [i.rotate(180) for i in batch["image"]]})
    expected = Samples.from_hugging_face(made).inputs.flip(2, 3)
    assert torch.equal(Samples.from_hugging_face(flipped).inputs, expected)
    damaged = datasets.Dataset.from_dict(
        {"image": [{"bytes": b"not an image", "path": None}, rows["image"][1], None], "label": [0, 1, 1]},
        features=features,
    )
    with pytest.raises(BadInputError, match=r"2 images cannot be read \(rows 0, 2\)"):
        Samples.from_hugging_face(damaged)


def test_a_hugging_face_dataset_of_numbers_with_named_columns() -> None:
    data = datasets.Dataset.from_dict({"measures": [[1.0, 2.0], [3.0, 4.0]], "price": [0.5, 1.5]})
    samples = Samples.from_hugging_face(data, inputs="measures", targets="price")
    assert samples.inputs.tolist() == [[1, 2], [3, 4]]
    assert samples.targets.tolist() == [0.5, 1.5]
    with pytest.raises(BadInputError) as caught:
        Samples.from_hugging_face(data, inputs="size", targets="cost")
    assert "'size'" in str(caught.value)
    assert "'cost'" in str(caught.value)
    with pytest.raises(BadInputError, match="no input column"):
        Samples.from_hugging_face(data)


def test_an_image_folder(folder: Path) -> None:
    samples = Samples.from_image_folder(folder)
    assert samples.classes == ("cat", "dog")
    assert samples.ids == ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png")
    assert samples.targets.tolist() == [0, 0, 1, 1]
    assert np.array_equal(samples.inputs[1].numpy(), picture(1).transpose(2, 0, 1))
    assert samples.copies_of(samples.only(["cat/0.png"])) == {"cat/0.png": ("dog/0.png",)}


def test_images_are_cropped_to_a_square_and_resized(folder: Path) -> None:
    assert Samples.from_image_folder(folder, size=2).shape == (3, 2, 2)


def test_all_unreadable_images_are_named(folder: Path) -> None:
    (folder / "cat" / "2.jpg").write_bytes(b"not an image")
    (folder / "dog" / "3.jpg").write_bytes(b"")
    with pytest.raises(BadInputError, match=r"2 images cannot be read \('cat/2.jpg', 'dog/3.jpg'\)"):
        Samples.from_image_folder(folder)


def test_images_of_mixed_shapes_are_refused(folder: Path) -> None:
    Image.fromarray(picture(9, (5, 5))).save(folder / "cat" / "9.png")
    with pytest.raises(BadInputError, match="mixed shapes"):
        Samples.from_image_folder(folder)


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no such folder"):
        Samples.from_image_folder(tmp_path / "nowhere")
    with pytest.raises(BadInputError, match="no images"):
        Samples.from_image_folder(tmp_path)


@pytest.mark.data
def test_real_photographs() -> None:
    samples = Samples.from_image_folder(data_folder("afhq_sample") / "train", size=32)
    assert samples.classes == ("cat", "dog", "wild")
    assert samples.shape == (3, 32, 32)
    assert 60 < float(samples.inputs.float().mean()) < 190
