from pathlib import Path

import pytest
from rich.console import Console
from tests.support.folders import made_models, write_folder
from tests.support.results import made_results

from unscathed.lab.report import summary_table

ALL = ("retrain", "sisa", "fisher", "influence")
ADVERSARIES = ("random", "blind", "output-aware", "parameter-aware")


def rendered(table: object, width: int = 110) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


@pytest.mark.parametrize("test_samples", [400, 10_000])
def test_every_unlearner_and_adversary_fits_110_columns(test_samples: int) -> None:
    results = made_results(adversaries=ADVERSARIES, unlearners=ALL, environment={"test_samples": test_samples})
    lines = rendered(summary_table(results))
    for name in ("Retrain", "SISA", "Fisher", "Influence"):
        assert sum(line.startswith(f" {name} ") for line in lines) == 4
    for adversary in ADVERSARIES:
        assert sum(line.startswith(adversary) for line in lines) == 1
    assert "…" not in "\n".join(lines)


def test_numbers_stand_under_their_headings() -> None:
    lines = rendered(summary_table(made_results(adversaries=["random"], unlearners=["fisher"])))
    row = next(line for line in lines if line.startswith(" Fisher"))
    assert [part.split() for part in row.split("│")] == [
        ["Fisher"],
        ["91.2", "90.5", "84.8", "90.2", "89.8"],
        ["62.5", "66.2", "63.8"],
        ["0.523", "0.521"],
        ["0.16×", "0.25×"],
        ["✓", "✓"],
    ]
    labels = next(line for line in lines if "original" in line)
    for label, number in (("original", "91.2"), ("control", "89.8"), ("time", "0.25×"), ("gone", "✓")):
        assert labels.rindex(label) + len(label) == row.rindex(number) + len(number)


def test_marks_say_what_the_audit_said() -> None:
    results = made_results(
        adversaries=["random"],
        but={("random", "fisher", "retain+twins"): {"whole": "not enough evidence", "forgotten": "fail"}},
    )
    lines = rendered(summary_table(results))
    assert [line.split()[-2:] for line in lines if line.startswith((" Retrain", " Fisher"))] == [["✓", "✓"], ["?", "✗"]]


@pytest.mark.parametrize("without", ["retain", "retain+twins", "gold", "original", "unlearned"])
def test_what_was_not_measured_is_a_dash(without: str) -> None:
    lines = rendered(summary_table(made_results(without=[without])))
    assert all("–" in line for line in lines if line.startswith((" Retrain", " Fisher")))


def test_names_are_no_markup() -> None:
    results = made_results(adversaries=["[bold]odd"], unlearners=["[red]x"])
    results.dataset = "[b]folder"
    text = "\n".join(rendered(summary_table(results)))
    assert "[bold]odd" in text
    assert "[red]x" in text
    assert "[b]folder" in text


def test_several_seeds_are_means_and_counts() -> None:
    but = {("random", "fisher", "retain+twins"): {"forgotten": "fail", "seeds": [1]}}
    lines = rendered(summary_table(made_results(adversaries=["random"], seeds=[0, 1, 2], spread=3.0, but=but)))
    row = next(line for line in lines if line.startswith(" Fisher"))
    assert [part.split() for part in row.split("│")[1:]] == [
        ["94.2", "93.5", "87.8", "93.2", "92.8"],
        ["65.5", "69.2", "66.8"],
        ["0.523", "0.521"],
        ["0.16×", "0.25×"],
        ["✓", "✓2", "✗1"],
    ]
    assert any("means over seeds 0, 1, 2" in line for line in lines)


def test_a_folder_has_a_table_for_each_setting(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, made_models(datasets=["toy", "mnist"], seeds=[0, 1]))
    lines = rendered(summary_table(folder))
    assert [line.split(":")[0] for line in lines if "audited against gold" in line] == ["MNIST", "toy"]
    assert sum(line.startswith(" Fisher") for line in lines) == 4


def test_scores_have_room() -> None:
    lines = rendered(summary_table(made_results(adversaries=["random"], unlearners=["fisher"], shares=False)))
    row = next(line for line in lines if line.startswith(" Fisher"))
    assert row.split("│")[1].split() == ["−0.912", "−0.905", "−0.848", "−0.902", "−0.897"]
    assert not any("accuracy" in line for line in lines)
