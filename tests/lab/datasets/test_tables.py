import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.support import data_folder

from unscathed import BadInputError
from unscathed.lab import datasets

ROWS = """\
name,age,weight,colour,zone,kind,part
a,20,50,red,7,cat,train
b,40,?,blue,7,dog,train
c,30,70,red,9,cat,train
d,30,60,?,9,dog,train
e,35,90,green,8,cat,test
f,?,70,blue,7,dog,test
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "animals.csv").write_text(ROWS)
    return tmp_path / "animals.csv"


def test_numbers_are_standardised_and_categories_coded_by_the_training_rows(file: Path) -> None:
    dataset = datasets.csv(file, "kind", split_column="part", ids="name", categorical=["colour", "zone"])
    age, weight = (np.array(c) for c in ([20, 40, 30, 30, 35, 30], [50, 60, 70, 60, 90, 70]))
    expected = np.stack(
        [
            (age - 30) / 50**0.5,
            (weight - 60) / (200 / 3) ** 0.5,  # of the three that are there
            [0, 1, 0, 0, 0, 0],  # whether the weight is missing; no age is, in training
            [2, 1, 2, 0, 0, 1],  # blue 1, red 2; missing and never seen: 0
            [1, 1, 2, 2, 0, 1],
        ],
        axis=1,
    )
    both = np.concatenate([part.inputs.numpy() for part in dataset])
    np.testing.assert_allclose(both, expected, atol=1e-6)
    assert both.dtype == np.float32
    assert dataset.name == "animals"
    assert dataset.facts == {"classes": 2, "categories": (0, 0, 0, 3, 3)}
    assert dataset.samples.classes == ("cat", "dog")
    assert dataset.samples.targets.tolist() == [0, 1, 0, 1]
    assert dataset.samples.ids + dataset.test.ids == tuple("abcdef")


def test_columns_that_hold_no_numbers_are_categories(file: Path) -> None:
    dataset = datasets.csv(file, "kind", drop=["name", "part"], test=2)
    assert dataset.facts["categories"][:3] == (0, 0, 0)
    assert (len(dataset.samples), len(dataset.test)) == (4, 2)
    assert sorted(dataset.test.targets.tolist()) == [0, 1], "held out by class"
    assert {*dataset.samples.ids, *dataset.test.ids} == set("012345")
    assert datasets.csv(file, "kind", test=2).test.ids == dataset.test.ids
    assert any(datasets.csv(file, "kind", test=2, seed=s).test.ids != dataset.test.ids for s in range(1, 4))


def test_compressed_files_are_the_same(file: Path) -> None:
    pd.read_csv(file).to_csv(file.with_suffix(".csv.gz"), index=False)
    one, other = (datasets.csv(f, "kind", split_column="part") for f in (file, file.with_suffix(".csv.gz")))
    assert one.samples.digests == other.samples.digests
    assert other.name == "animals"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"target": "sort"}, [r"no column 'sort'; it has 'name'"]),
        ({"target": "kind", "drop": ["size"], "ids": "key", "split_column": "set"}, ["no column 'size', 'set', 'key'"]),
        ({"target": "name"}, ["'name' holds 6 different values in 6 rows; classes are needed"]),
        ({"target": "age", "ids": "kind"}, [r"no 'age' \(rows 5\)", "4 different", "ids in 'kind' are rep"]),
        ({"target": "kind", "split_column": "colour"}, ["it must say train or test"]),
        ({"target": "kind", "test": 1.5}, ["test=1.5 must be a share"]),
        ({"target": "kind", "test": 6}, ["test=6 must be a share"]),
        ({"target": "kind", "categorical": ["colour"]}, ["'name', 'part' hold no numbers"]),
        ({"target": "kind", "categorical": ["kind"], "drop": ["name", "part", "colour"]}, ["'kind' cannot be categ"]),
        ({"target": "kind", "drop": ["name", "age", "weight", "colour", "zone", "part"]}, ["no columns are left"]),
    ],
)
def test_what_is_wrong_is_named_at_once(file: Path, arguments: dict[str, object], words: list[str]) -> None:
    with pytest.raises(BadInputError) as caught:
        datasets.csv(file, **arguments)  # type: ignore[arg-type]
    assert len(caught.value.problems) == len(words)
    for word, problem in zip(words, caught.value.problems, strict=True):
        assert re.search(word, problem), problem


def test_numbers_that_say_nothing(file: Path) -> None:
    frame = pd.read_csv(file)
    frame["far"] = [1.0, np.inf, 1, 1, 1, 1]
    frame["hollow"] = [None, None, None, None, 1, 1]
    frame.to_csv(file, index=False)
    with pytest.raises(BadInputError) as caught:
        datasets.csv(file, "kind", split_column="part")
    assert [p.split(" hold")[0] for p in caught.value.problems] == ["'far'", "'hollow'"]


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no such file"):
        datasets.csv(tmp_path / "nowhere.csv", "kind")
    contents = {"a.csv": b"", "b.csv.gz": b"nothing", "c.csv": b"\xff\xfe\x00x,y\n1,2\n3", "d.csv": b"x\n1\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInputError, match="cannot read"):
            datasets.csv(tmp_path / name, "x")
    with pytest.raises(BadInputError, match=r"no file .*adult.csv.gz; join"):
        datasets.adult(tmp_path / "adult.csv.gz")


@pytest.mark.data
def test_adult_is_adult() -> None:
    data_folder("tabular")
    dataset = datasets.adult()
    assert (len(dataset.samples), len(dataset.test)) == (32_561, 16_281)
    assert dataset.samples.targets.sum() == 7_841
    assert dataset.test.targets.sum() == 3_846
    assert dataset.samples.classes == ("<=50K", ">50K")
    assert dataset.facts["categories"] == (0, 0, 0, 0, 0, 0, 9, 17, 8, 15, 7, 6, 3, 42)
    assert float(dataset.samples.inputs[:, :6].mean().abs()) < 1e-5
