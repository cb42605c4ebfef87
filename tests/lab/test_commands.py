import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.folders import ALONE, CONTROL, RANDOM, made_models, write_folder
from typer.testing import CliRunner

from unscathed.lab.commands import lab

FAILED = {
    "cell": {"dataset": "toy", "stage": "healed", "healer": ALONE, "seed": 0},
    "work": "measuring healed",
    "error": "DivergedError: x",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "results", made_models(seeds=[0, 1], without=[ALONE]))


def run(*arguments: str | Path, code: int = 0) -> str:
    ran = CliRunner().invoke(lab, [str(argument) for argument in arguments], env={"COLUMNS": "140"})
    assert ran.exit_code == code, ran.output
    return ran.output


def test_a_table_is_shown(folder: Path) -> None:
    shown = run("table", folder)
    assert "Test accuracy, % · toy" in shown
    assert "84.8 ± 0.0" in shown


def test_a_table_is_what_was_asked_for(folder: Path) -> None:
    options = ["--rows", "unlearner", "adversary", "--columns", "healer", "--value", "forget_accuracy"]
    narrow = ["--where", "adversary=random", "unlearner=Fisher", "unlearner=Retrain", "--against", "gold"]
    shown = run("table", folder, *options, *narrow, "--format", "csv", "--interval", "bootstrap")
    rows = list(csv.DictReader(io.StringIO(shown)))
    assert [(row["unlearner"], row["adversary"], row["healer"], row["mean"]) for row in rows] == [
        (unlearner, RANDOM, healer, mean)
        for unlearner in ("Retrain", "Fisher")
        for healer, mean in (("Healer", "1.25"), (CONTROL, "-1.25"))
    ]


@pytest.mark.parametrize(("form", "sign"), [("markdown", "| --- |"), ("latex", r"\toprule"), ("csv", "mean,low,high")])
def test_formats_are_for_files(form: str, sign: str, folder: Path) -> None:
    assert sign in run("table", folder, "--format", form)


def test_failures_are_marked(tmp_path: Path) -> None:
    models = made_models(adversaries=[RANDOM], unlearners=["Fisher"], without=[ALONE])
    cell = {axis: models[-1].get(axis) for axis in ("adversary", "unlearner")}
    common = {"model": "ToyNet", "recipe": "Recipe", "task": "ClassificationTask", "reserve": "SpareSet(share=0.1)"}
    failure = {**FAILED, "cell": {**FAILED["cell"], **cell, **common}}  # type: ignore[dict-item]
    shown = run("table", write_folder(tmp_path, models, failures=[failure]))
    assert "failed" in shown
    assert "DivergedError: x" in shown


def test_plots_are_written_and_named(folder: Path, tmp_path: Path) -> None:
    shown = run("plot", folder, "--out", tmp_path / "figures")
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == sorted(f"{kind}.{form}" for kind in ("stages", "forgetting", "price") for form in ("svg", "png"))
    assert all(name in shown for name in names)


def test_a_report_is_written_beside_the_results(folder: Path) -> None:
    assert "report.html" in run("report", folder)
    assert "means over 2 seeds" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["table", "nowhere"], "there is no such folder"),
        (["plot", "nowhere"], "there is no such folder"),
        (["report", "nowhere", "--out", "missing/page.html"], "there is no folder missing"),
        (["report", "nowhere", "--out", "page.html"], "there is no such folder"),
        (["table", "nowhere", "--format", "word"], "unknown format 'word'"),
    ],
)
def test_mistakes_are_told(arguments: list[str], words: str) -> None:
    assert words in " ".join(run(*arguments, code=2).split())


def test_conditions_that_are_none_are_told(folder: Path) -> None:
    assert "'random' is not axis=value" in run("table", folder, "--where", "random", code=2)
    assert "no adversary is 'nobody'" in run("table", folder, "--where", "adversary=nobody", code=2)


@pytest.mark.parametrize(("command", "module"), [("table", "pandas"), ("plot", "matplotlib"), ("report", "jinja2")])
def test_what_is_not_installed_is_named(
    command: str, module: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert f"{module} is missing; pip install 'unscathed[lab]'" in " ".join(run(command, folder, code=2).split())


def test_without_the_extras_everything_can_be_imported_that_asks_for_them() -> None:
    code = """
import sys
sys.modules.update(dict.fromkeys(["pandas", "pyarrow", "matplotlib", "plotly", "PIL", "jinja2"]))
import unscathed.cli, unscathed.lab.commands
from unscathed.lab.report import missing_extras
print(len(missing_extras()))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "6", ran.stderr
