from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.folders import ALONE, AWARE, BOTH, CONTROL, RANDOM, made_models, made_pairs, write_folder

from unscathed import BadInputError
from unscathed.lab.frames import complete, measured, read, read_failures, read_twins, telling
from unscathed.lab.schema import FORMAT, SCHEMA, describe


def test_what_was_written_is_read_in_the_order_in_which_readers_meet_it(tmp_path: Path) -> None:
    frame = read(write_folder(tmp_path, made_models(seeds=(10, 2))[::-1]))
    assert list(frame.columns) == SCHEMA.names
    assert list(frame["adversary"].unique()) == [RANDOM, AWARE]
    assert list(frame["adversary"].cat.categories) == [RANDOM, AWARE]
    assert list(frame["healer"].cat.categories) == [BOTH, CONTROL, ALONE]
    rows = frame[(frame["stage"] == "gold") & (frame["measure"] == "test_accuracy")]
    assert list(rows["value"]) == [90.5] * 4
    assert list(rows["seed"]) == [2, 10, 2, 10]
    assert rows["unlearner"].isna().all()


def test_of_double_rows_the_newest_counts(tmp_path: Path) -> None:
    models = made_models(adversaries=[RANDOM], unlearners=["Fisher"])
    newest = [{**m, "measures": {"test_accuracy": 1.0}, "started": "2026-01-02T00:00:00+00:00"} for m in models]
    oldest = [{**m, "measures": {"test_accuracy": 2.0}, "started": "2025-01-02T00:00:00+00:00"} for m in models]
    frame = read(write_folder(tmp_path, [*newest, *models, *oldest]))
    assert set(measured(frame, "test_accuracy")["value"]) == {1.0}
    assert len(measured(frame, "membership_auc")) == len(models)


def test_what_cannot_be_read_is_named_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="there is no such folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(BadInputError, match="no measurements in it"):
        read(tmp_path)
    write_folder(tmp_path, [*made_models(adversaries=[RANDOM]), {"adversary": "A", "stage": "gold", "measures": {}}])
    table = pq.read_table(tmp_path / "measurements" / "000000.parquet")
    folder = tmp_path / "measurements"
    (folder / "broken.parquet").write_bytes(b"PAR1 no more")
    pq.write_table(table.drop_columns(["stage", "seed"]), folder / "foreign.parquet")
    newer = table.set_column(SCHEMA.get_field_index("format"), "format", pa.array([FORMAT + 1] * len(table)))
    pq.write_table(newer.drop_columns(["stage"]), folder / "newer.parquet")
    wrong = table.set_column(SCHEMA.get_field_index("seed"), "seed", pa.array(["x"] * len(table)))
    pq.write_table(wrong, folder / "wrong.parquet")
    with pytest.raises(BadInputError) as caught:
        read(tmp_path)
    assert [problem.split()[0] for problem in caught.value.problems] == [
        "broken.parquet", "foreign.parquet", "newer.parquet", "wrong.parquet",
    ]  # fmt: skip
    assert "newer than this version knows (1); update unscathed" in caught.value.problems[2]
    assert "lacks the columns 'stage', 'seed'" in caught.value.problems[1]


def test_what_is_the_same_for_all_is_spread_and_a_named_row_precedes_it(tmp_path: Path) -> None:
    models = made_models(adversaries=[RANDOM], unlearners=["Sisa", "Fisher"], datasets=["toy", "other"])
    for model in models:
        if (model["stage"], model["unlearner"]) == ("original", "Sisa"):
            model["measures"] = {"test_accuracy": 70.0}
    lone = {"dataset": "lone", "adversary": RANDOM, "stage": "gold", "measures": {"test_accuracy": 3.0}}
    frame = measured(read(write_folder(tmp_path, [*models, lone])), "test_accuracy")
    full = complete(frame)
    assert not full.duplicated(
        [c for c in full.columns if c in ("dataset", "unlearner", "healer", "similarity", "stage")]
    ).any()
    original = full[(full["stage"] == "original") & (full["dataset"] == "toy")]
    assert original.groupby("unlearner", observed=True)["value"].unique().map(list).to_dict() == {
        "Sisa": [70.0],
        "Fisher": [91.25],
    }
    assert len(original) == 2 * 3
    assert list(full[full["dataset"] == "lone"]["unlearner"].isna()) == [True]
    # Healed without twins: the same for every similarity.
    assert set(full[full["healer"] == CONTROL]["similarity"]) == {"Cosine"}
    only = complete(frame, ["unlearner"])
    assert only[only["stage"] == "gold"]["healer"].isna().all()


def test_what_a_stage_cost_is_a_measure_too(tmp_path: Path) -> None:
    frame = read(write_folder(tmp_path, made_models(adversaries=[RANDOM], unlearners=["Fisher"])))
    steps = measured(frame, "steps").set_index("stage")["value"]
    assert steps["gold"] == 380.0
    assert len(steps) == 6


def test_failures_and_twins_are_read(tmp_path: Path) -> None:
    failure = {"cell": {"dataset": "toy", "stage": "gold"}, "work": "training gold", "error": "DivergedError: x"}
    write_folder(tmp_path, made_models(), failures=[failure], twins=made_pairs())
    (found,) = read_failures(tmp_path)
    assert (found.cell["stage"], found.work, found.error) == ("gold", "training gold", "DivergedError: x")
    assert list(read_twins(tmp_path)["label"]) == ["seven", "seven"]
    (tmp_path / "failures" / "bad.json").write_text("{")
    with pytest.raises(BadInputError, match=r"bad\.json is damaged"):
        read_failures(tmp_path)
    empty = write_folder(tmp_path / "empty", made_models())
    assert read_twins(empty).empty
    assert read_failures(empty) == []


def test_axes_that_tell_cells_apart() -> None:
    frame = pd.DataFrame({"a": [None, "x", "x"], "b": ["x", "y", "z"], "c": ["1", "2", "2"], "d": ["1", "1", "2"]})
    assert telling(frame, ["a", "b", "c", "d"]) == ["b"]
    assert telling(frame, ["c", "d", "b"]) == ["c", "d"]
    assert telling(frame, ["c", "d"], given=["b"]) == []


def test_every_column_is_described() -> None:
    assert list(describe()) == SCHEMA.names
    assert all(describe().values())
