import sys
from importlib.util import find_spec

import pytest
import torch
from tests.support import Crowd

from unscathed import BadInputError
from unscathed.adversaries import Backdoored, Mislabelled, NearDuplicates
from unscathed.adversaries.poisoning import Poisoning
from unscathed.reserve.screens import ConfidentLearning

needs_cleanlab = pytest.mark.skipif(
    find_spec("cleanlab") is None, reason="cleanlab is not installed; pip install 'unscathed[screens]'"
)


def test_without_cleanlab_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    monkeypatch.setattr("unscathed.reserve.screens.confident_learning.find_spec", lambda name: None)
    with pytest.raises(BadInputError, match=r"unscathed\[screens\]"):
        ConfidentLearning()


@needs_cleanlab
@pytest.mark.parametrize("attack", [Mislabelled(), Mislabelled(share=0.2), Mislabelled(target=3)], ids=repr)
def test_it_finds_wrong_labels(attack: Mislabelled, crowd: Crowd) -> None:
    area, caught = crowd.found(ConfidentLearning(), attack)
    assert area > 0.95
    assert caught > 0.7


@needs_cleanlab
@pytest.mark.parametrize("attack", [NearDuplicates(), Backdoored(clean_label=True)], ids=repr)
def test_it_finds_nothing_where_labels_are_right(attack: Poisoning, crowd: Crowd) -> None:
    area, caught = crowd.found(ConfidentLearning(), attack)
    assert 0.3 < area < 0.7
    assert caught < 0.25


@needs_cleanlab
def test_classes_that_are_too_small_are_not_judged() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([4] * 20 + [9] * 20 + [2] * 3)
    vectors = torch.randn(43, 3, generator=generator) + 5 * (labels == 9)[:, None]
    labels[0] = 9
    scores = ConfidentLearning().scores(vectors, labels)
    assert scores[:40].argmax() == 0
    assert not scores[40:].any()
    assert not ConfidentLearning().scores(vectors[:22], torch.tensor([4] * 20 + [2] * 2)).any()
    assert torch.equal(scores, ConfidentLearning().scores(vectors, labels))


@needs_cleanlab
def test_settings() -> None:
    with pytest.raises(BadInputError) as caught:
        ConfidentLearning(folds=1, penalty=0)
    assert "folds=1" in str(caught.value)
    assert "penalty=0" in str(caught.value)
