import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console
from tests.support.folders import ALONE, AWARE, BOTH, COMMON, CONTROL, RANDOM, made_models, write_folder

from unscathed import BadInputError
from unscathed.lab.frames import read, read_failures
from unscathed.lab.tables import Table, table

FAILED = {
    "cell": {
        **{axis: COMMON[axis] for axis in ("dataset", "model", "recipe", "task", "reserve")},
        "adversary": AWARE, "unlearner": "Fisher", "healer": ALONE, "similarity": "Cosine", "stage": "healed",
        "seed": 0,
    },
    "work": "measuring healed",
    "error": "DivergedError: the loss is no number",
}  # fmt: skip


def frame_of(folder: Path, **grid: Any) -> pd.DataFrame:
    return read(write_folder(folder, made_models(**grid)))


def lines(made: Table) -> list[list[str]]:
    """The cells of the Markdown's lines."""
    return [
        [cell.strip().replace(r"\|", "|") for cell in line.strip("|").split(" | ")]
        for line in made.markdown().splitlines()
        if line.startswith("| ") and "---" not in line
    ]


def test_the_default_is_a_line_for_each_unlearner_and_a_column_for_each_stage(tmp_path: Path) -> None:
    made = table(
        frame_of(tmp_path, unlearners=["Sisa", "Fisher"], but={(AWARE, "Sisa", "original"): {"test_accuracy": 70.0}})
    )
    head, *body = lines(made)
    assert head == [
        "adversary", "unlearner", "original", "gold", "unlearned", "healed (retain + twins)", "healed (retain)",
        "healed (twins)",
    ]  # fmt: skip
    assert body[0] == ["random", "SISA", "91.2", "90.5", "84.8", "90.2", "89.8", "88.5"]
    assert body[2] == ["parameter-aware", "SISA", "70.0", "90.5", "84.8", "90.2", "89.8", "88.5"]
    assert len(body) == 4
    assert "**Test accuracy, % · toy**" in made.markdown()
    assert "n = 1 seed: no interval." in made.markdown()


def test_seeds_give_a_mean_and_an_interval(tmp_path: Path) -> None:
    models = [
        {**m, "measures": {"test_accuracy": 90.0 + m["seed"]}}
        for m in made_models(adversaries=[RANDOM], unlearners=["Fisher"], seeds=[0, 1, 2])
    ]
    made = table(read(write_folder(tmp_path, models)))
    # Standard error 1/sqrt(3), t = 4.303: 2.48.
    assert lines(made)[1][2:] == ["91.0 ± 2.5"] * 6
    assert "n = 3 seeds." in made.markdown()
    short = table(read(write_folder(tmp_path / "b", models)), where={"seed": [0, 2]}, interval="bootstrap")
    assert lines(short)[1][2] == "91.0 [90.0, 92.0]"


def test_a_cell_with_fewer_seeds_says_so(tmp_path: Path) -> None:
    models = made_models(adversaries=[RANDOM], seeds=[0, 1, 2])
    models = [m for m in models if (m["unlearner"], m["stage"], m["seed"]) != ("Fisher", "unlearned", 1)]
    made = table(read(write_folder(tmp_path, models)))
    assert [line[4] for line in lines(made)[1:]] == ["84.8 ± 0.0", "84.8 ± 0.0 (n=2)"]
    assert "n = 3 seeds unless a cell says otherwise" in made.markdown()


def test_what_varies_and_is_not_named_makes_a_table_of_its_own(tmp_path: Path) -> None:
    frame = frame_of(tmp_path, datasets=["toy", "mnist"])
    made = table(frame, rows=["unlearner"], columns=["stage"])
    assert [part.title for part in made.parts] == [
        f"Test accuracy, % · {dataset} · {adversary} · {healer}"
        for dataset in ("MNIST", "toy")
        for adversary in ("random", "parameter-aware")
        for healer in ("retain + twins", "retain", "twins")
    ]
    # Nothing but seeds is ever averaged: values of one seed never meet in a cell.
    assert all(cell.n == 1 for part in made.parts for cell in part.cells.values())


def test_an_axis_that_another_decides_makes_no_tables(tmp_path: Path) -> None:
    models = [{**m, "model": f"{m['dataset']}Net"} for m in made_models(datasets=["toy", "mnist"])]
    made = table(read(write_folder(tmp_path, models)), rows=["dataset", "unlearner"])
    assert [part.title for part in made.parts] == [f"Test accuracy, % · {who}" for who in ("random", "parameter-aware")]


def test_healers_without_stages_are_healed_models(tmp_path: Path) -> None:
    made = table(frame_of(tmp_path), rows=["unlearner"], columns=["healer"], where={"adversary": "random"})
    assert lines(made) == [
        ["unlearner", "retain + twins", "retain", "twins"],
        ["Retrain", "90.2", "89.8", "88.5"],
        ["Fisher", "90.2", "89.8", "88.5"],
    ]


def test_what_a_table_is_narrowed_to_is_in_its_title(tmp_path: Path) -> None:
    frame = frame_of(tmp_path, seeds=[0, 1])
    made = table(frame, rows=["unlearner"], columns=["healer"], where={"adversary": "parameter-aware", "seed": 1})
    assert made.parts[0].title == "Test accuracy, % · toy · parameter-aware"
    made = table(frame, rows=["unlearner"], columns=["adversary"], where={"stage": "gold"})
    assert made.parts[0].title == "Test accuracy, % · toy · gold"


def test_stages_that_are_not_named_are_tables_and_gold_is_one_of_them(tmp_path: Path) -> None:
    made = table(frame_of(tmp_path), rows=["adversary"], columns=["unlearner"])
    assert [part.title.rpartition(" · ")[2] for part in made.parts] == [
        "original", "gold", "unlearned", "healed (retain + twins)", "healed (retain)", "healed (twins)",
    ]  # fmt: skip


def test_differences_are_signed_and_leave_the_reference_out(tmp_path: Path) -> None:
    frame = frame_of(tmp_path, adversaries=[AWARE], unlearners=["Fisher"], seeds=[0, 1, 2], spread=3.0)
    made = table(frame, against="gold")
    head, body = lines(made)
    assert "gold" not in head
    assert all(cell.startswith(("+", "−", "0.0")) for cell in body[2:])
    assert "difference from gold" in made.parts[0].title
    assert "paired by seed" in made.markdown()
    from_control = table(frame, rows=["unlearner"], columns=["healer"], against=f"healer={CONTROL}")
    assert lines(from_control)[0] == ["unlearner", "retain + twins", "twins"]


def test_an_audits_words_are_counted(tmp_path: Path) -> None:
    models = made_models(adversaries=[RANDOM], unlearners=["Fisher"], seeds=range(4))
    for model, word in zip(
        [m for m in models if m["healer"] == BOTH], ["pass", "fail", "not enough evidence", "pass"], strict=True
    ):
        model["measures"]["forgotten"] = word
    made = table(read(write_folder(tmp_path, models)), value="forgotten")
    assert lines(made)[1] == ["random", "Fisher", "✗4", "✓4", "✓2 ✗1 ?1", "✓4", "✓4"]
    rows = list(csv.DictReader(io.StringIO(made.csv())))
    assert [
        (row["pass"], row["fail"], row["not enough evidence"], row["n"]) for row in rows if row["healer"] == BOTH
    ] == [("2", "1", "1", "4")]


def test_failed_cells_are_marked_and_listed(tmp_path: Path) -> None:
    models = [
        m
        for m in made_models(seeds=[0, 1])
        if (m["adversary"], m["unlearner"], m["healer"]) != (AWARE, "Fisher", ALONE)
    ]
    folder = write_folder(tmp_path, models, failures=[FAILED, {**FAILED, "cell": {**FAILED["cell"], "seed": 1}}])
    made = table(read(folder), failures=read_failures(folder))
    assert [line[-1] for line in lines(made)[1:]] == ["88.5 ± 0.0"] * 3 + ["failed"]
    assert "- measuring healed: DivergedError: the loss is no number (2 models)" in made.markdown()
    # One of two seeds failed: what there is is shown, and marked.
    some = write_folder(tmp_path / "some", made_models(seeds=[1]), failures=[FAILED])
    made = table(read(some), failures=read_failures(some))
    assert [line[-1] for line in lines(made)[1:]] == ["88.5", "88.5", "88.5", "88.5 †"]
    # Measured after all: no failure any more.
    later = write_folder(tmp_path / "later", made_models(), failures=[FAILED])
    made = table(read(later), failures=read_failures(later))
    assert "failed" not in made.markdown()
    assert "Failed" not in made.markdown()
    # Of no concern to what is shown.
    assert not table(read(folder), failures=read_failures(folder), where={"unlearner": "Retrain"}).failures


def test_a_healer_that_always_failed_keeps_its_column(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, made_models(without=[ALONE]), failures=[FAILED])
    made = table(read(folder), failures=read_failures(folder))
    assert [line[-1] for line in lines(made)] == ["healed (twins)", "–", "–", "–", "failed"]


def test_latex_is_booktabs_with_headings_that_span(tmp_path: Path) -> None:
    frame = frame_of(tmp_path, seeds=[0, 1], datasets=["a_b", "c"])
    text = table(frame, columns=["dataset", "stage", "healer"]).latex()
    assert r"\multicolumn{6}{c}{a\_b} & \multicolumn{6}{c}{c} \\" in text
    assert r"\cmidrule(lr){3-8} \cmidrule(lr){9-14}" in text
    assert r"random & Retrain & 91.2 $\pm$ 0.0 &" in text
    assert "\\addlinespace\n    parameter-aware & Retrain" in text
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")
    assert {line.count("&") for line in text.splitlines() if line.endswith(r"\\") and "multi" not in line} == {13}
    assert not set(text) & set("±–·✓†")


def test_csv_has_a_line_for_each_cell_unrounded(tmp_path: Path) -> None:
    frame = frame_of(tmp_path, datasets=["toy", "mnist"], seeds=[0, 1, 2], spread=1.0)
    rows = list(csv.DictReader(io.StringIO(table(frame).csv())))
    assert len(rows) == 2 * 2 * 2 * 6
    gold = frame[(frame["stage"] == "gold") & (frame["measure"] == "test_accuracy") & (frame["adversary"] == AWARE)]
    row = next(r for r in rows if (r["dataset"], r["adversary"], r["stage"]) == ("toy", AWARE, "gold"))
    assert float(row["mean"]) == pytest.approx(gold[gold["dataset"] == "toy"]["value"].mean())
    assert float(row["low"]) < float(row["mean"]) < float(row["high"])
    assert row["n"] == "3"


def test_a_terminal_shows_every_number(tmp_path: Path) -> None:
    made = table(frame_of(tmp_path, seeds=[0, 1], spread=1.0, unlearners=["Retrain", "Sisa", "Fisher", "Influence"]))
    console = Console(width=115)
    with console.capture() as capture:
        console.print(made)
    assert capture.get().count("±") == 2 * 4 * 6 + 1
    assert "…" not in capture.get()


def test_ten_thousand_test_samples_earn_a_second_decimal(tmp_path: Path) -> None:
    assert lines(table(frame_of(tmp_path, common={"test_samples": 10_000})))[1][2] == "91.25"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"rows": ["colour"], "value": "luck"}, ["unknown axes 'colour'", "unknown value 'luck'", "2 problems"]),
        ({"rows": ["stage"]}, ["stage named twice"]),
        ({"rows": []}, ["at least one axis for rows"]),
        ({"where": {"adversary": "nobody"}}, ["no adversary is 'nobody'", RANDOM]),
        ({"where": {"hue": "red"}}, ["unknown axes 'hue'"]),
        ({"value": "forgotten", "against": "gold"}, ["no differences"]),
        ({"interval": "wide"}, ["unknown interval 'wide'"]),
        ({"against": "unlearner=Nobody"}, ["no test_accuracy was measured", "to compare with Nobody (unlearner)"]),
        ({"value": "whole", "where": {"stage": "gold"}}, ["no whole was measured of what is to be shown"]),
    ],
)
def test_mistakes_are_named(asked: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as caught:
        table(frame_of(tmp_path), **asked)
    assert all(word in str(caught.value) for word in words)
