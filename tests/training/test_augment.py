import pytest
import torch

from unscathed import Flip, Shift
from unscathed.training.augment import from_json, to_json


def test_flips_mirror_some_images_and_leave_the_others() -> None:
    images = torch.randn(200, 3, 4, 5)
    flipped = Flip(0.5)(images, torch.Generator().manual_seed(0))
    mirrored = (flipped == images.flip(-1)).flatten(1).all(1)
    kept = (flipped == images).flatten(1).all(1)
    assert bool((mirrored ^ kept).all())
    assert 60 < int(mirrored.sum()) < 140


def test_shifts_move_images_by_whole_pixels_and_reflect() -> None:
    images = torch.arange(25.0).view(1, 1, 5, 5).expand(400, 1, 5, 5)
    moved = Shift(2)(images, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images[:1], (2, 2, 2, 2), mode="reflect")[0, 0]
    windows = {tuple(padded[i : i + 5, j : j + 5].flatten().tolist()) for i in range(5) for j in range(5)}
    seen = {tuple(m.flatten().tolist()) for m in moved}
    assert seen == windows


def test_augmentations_survive_json_and_foreign_ones_are_refused() -> None:
    assert from_json(to_json(Shift(4))) == Shift(4)
    with pytest.raises(KeyError, match="Blur"):
        from_json({"name": "Blur"})
