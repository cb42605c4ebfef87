from pathlib import Path

import pandas as pd
import pytest
import torch
from sklearn import datasets as bundled

from unscathed import BadInputError
from unscathed.lab import datasets


def test_a_file_is_cut_into_pieces(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("aaabaaacaaad.")
    dataset = datasets.characters(tmp_path / "letters.txt", length=4, test=1)
    pieces = {i: row for part in dataset for i, row in zip(part.ids, part.inputs.tolist(), strict=True)}
    assert sorted(pieces) == ["0", "1", "2"], "a single character is left over, and nothing to predict from it"
    (held_out,) = dataset.test.ids
    assert pieces.pop(held_out) == [2, 2, 2, 1], "its last letter was not seen in training"
    assert sorted(pieces.values()) == [[2, 2, 2, 3], [2, 2, 2, 4]]
    assert dataset.facts == {"vocabulary": 5, "length": 4}
    assert dataset.samples.targets.shape == (2, 0)


def test_rows_are_cut_one_by_one_and_held_out_whole(tmp_path: Path) -> None:
    rows = ["abcabcab", "abc", "", "a", "abcabcabc", "bc"]
    pd.DataFrame({"words": rows}).to_csv(tmp_path / "rows.csv", index=False)
    dataset = datasets.characters(tmp_path / "rows.csv", column="words", length=4, test=2)
    ids = {*dataset.samples.ids, *dataset.test.ids}
    assert ids == {"0/0", "0/1", "1/0", "4/0", "4/1", "5/0"}
    assert not {i.split("/")[0] for i in dataset.samples.ids} & {i.split("/")[0] for i in dataset.test.ids}
    short = next(row for part in dataset for i, row in zip(part.ids, part.inputs.tolist(), strict=True) if i == "5/0")
    assert short[2:] == [0, 0]


def test_a_real_text(tmp_path: Path) -> None:
    (tmp_path / "digits.txt").write_text(bundled.load_digits().DESCR)
    dataset = datasets.characters(tmp_path / "digits.txt", length=16, vocabulary=20)
    assert dataset.facts == {"vocabulary": 20, "length": 16}
    assert int(dataset.samples.inputs.max()) == 19
    counts = torch.bincount(dataset.samples.inputs.flatten())
    assert (counts[2:-1] >= counts[3:]).all(), "the most frequent come first"
    again = datasets.characters(tmp_path / "digits.txt", length=16, seed=1)
    assert again.test.ids != dataset.test.ids


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abc")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe")
    pd.DataFrame({"words": ["ab", "cd"]}).to_csv(tmp_path / "c.csv", index=False)
    for file, words in (("a.txt", "it has 1 pieces"), ("b.txt", "in UTF-8"), ("nowhere.txt", "No such file")):
        with pytest.raises(BadInputError, match=words):
            datasets.characters(tmp_path / file)
    with pytest.raises(BadInputError) as caught:
        datasets.characters(tmp_path / "c.csv", column="letters", length=1, vocabulary=2)
    assert len(caught.value.problems) == 3
    with pytest.raises(BadInputError, match="number below 2 rows"):
        datasets.characters(tmp_path / "c.csv", column="words", test=2)
