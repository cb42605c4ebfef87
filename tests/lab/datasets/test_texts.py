from pathlib import Path
from typing import Any

import datasets as hub
import pandas as pd
import pytest
import torch
from tests.support import data_folder

from unscathed import BadInputError
from unscathed.lab import datasets

ROWS = {
    "head": ["The Cat", "a dog's day", "the CAT", "the end"],
    "body": ["sat, sat!", None, "the dog", "sat unheard"],
    "kind": ["y", "x", "y", "x"],
    "part": ["train", "train", "train", "test"],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pd.DataFrame(ROWS).to_csv(tmp_path / "news.csv", index=False)
    return tmp_path / "news.csv"


def test_words_are_numbered_by_the_training_rows(file: Path) -> None:
    dataset = datasets.text(file, ["head", "body"], "kind", split_column="part", length=5)
    # the: 3 times, cat and sat: 2, then a, day, dog, dog's: 1 each; "end" and "unheard" are in the test row only.
    the, cat, sat, a, day, dog, dogs = range(2, 9)
    assert dataset.samples.inputs.tolist() == [[the, cat, sat, sat, 0], [a, dogs, day, 0, 0], [the, cat, the, dog, 0]]
    assert dataset.test.inputs.tolist() == [[the, 1, sat, 1, 0]]
    assert dataset.facts == {"classes": 2, "vocabulary": 9, "length": 5}
    assert dataset.samples.dtype == torch.int64
    assert dataset.samples.targets.tolist() == [1, 0, 1]
    assert dataset.samples.classes == ("x", "y")
    assert dataset.name == "news"


def test_rare_words_are_unknown_long_texts_are_cut_and_empty_ones_are_one_unknown_word(file: Path) -> None:
    dataset = datasets.text(file, "body", "kind", split_column="part", vocabulary=3, length=1)
    assert dataset.samples.inputs.tolist() == [[2], [1], [1]]
    assert dataset.facts["vocabulary"] == 3


def test_parquet_is_the_same(file: Path) -> None:
    pd.read_csv(file).to_parquet(file.with_suffix(".parquet"))
    one, other = (datasets.text(f, "head", "kind", split_column="part") for f in (file, file.with_suffix(".parquet")))
    assert one.samples.digests == other.samples.digests


def test_what_is_wrong_with_texts_is_named_at_once(file: Path) -> None:
    with pytest.raises(BadInputError) as caught:
        datasets.text(file, [], "kind", vocabulary=2, length=0)
    assert len(caught.value.problems) == 3
    with pytest.raises(BadInputError, match=r"no column 'size', 'sort'; it has 'head'"):
        datasets.text(file, "size", "sort")


def test_ag_news_from_the_hub_keeps_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(**arguments: Any) -> list[hub.Dataset]:
        assert arguments["path"] == "fancyzhx/ag_news"
        rows = {"text": ["one two"] * 8, "label": [0, 1, 2, 3] * 2}
        return [hub.Dataset.from_dict(rows), hub.Dataset.from_dict({"text": ["two three"], "label": [2]})]

    monkeypatch.delenv("UNSCATHED_DATA", raising=False)
    monkeypatch.setattr(hub, "load_dataset", answer)
    dataset = datasets.ag_news(length=3)
    assert (len(dataset.samples), len(dataset.test)) == (8, 1)
    assert dataset.test.inputs.tolist() == [[3, 1, 0]]
    assert dataset.samples.classes == dataset.test.classes == ("World", "Sports", "Business", "Sci/Tech")


def test_a_file_that_is_not_ag_news(file: Path) -> None:
    pd.DataFrame({"label": [1, 2] * 4, "title": "a", "text": "b"}).to_csv(file, index=False)
    with pytest.raises(BadInputError, match=r"'label' holds \('1', '2'\); it should say which of"):
        datasets.ag_news(file)


@pytest.mark.data
def test_ag_news_is_split_by_seed() -> None:
    data_folder("text")
    dataset = datasets.ag_news()
    assert (len(dataset.samples), len(dataset.test)) == (6080, 1520)
    assert torch.bincount(dataset.test.targets).tolist() == [380] * 4
    assert dataset.facts == {"classes": 4, "vocabulary": 8000, "length": 64}
    assert datasets.ag_news(seed=1).test.ids != dataset.test.ids
    known = (dataset.test.inputs > 1).sum() / (dataset.test.inputs > 0).sum()
    assert 0.85 < float(known) < 0.95, "most words of unseen texts are known, not all"
