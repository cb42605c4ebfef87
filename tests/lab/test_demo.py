import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import data_folder, digit_setup
from typer.testing import CliRunner

from unscathed import BadInputError, DivergedError, Healer
from unscathed.cli import app
from unscathed.lab.demo import ADVERSARIES, UNLEARNERS, Demo
from unscathed.lab.results import Results

KEYS = {
    "dataset", "adversary", "unlearner", "healer", "stage", "seed", "test_accuracy", "forget_accuracy",
    "membership_auc", "steps", "seconds", "forget_size", "reserve_left",
}  # fmt: skip


@pytest.fixture(scope="module")
def results() -> Results:
    return Demo(digit_setup(), seed=0).run()


@pytest.fixture(scope="module")
def rows(results: Results) -> dict[tuple[str, str, str, str | None], Any]:
    return {(r.adversary, r.unlearner, r.stage, r.healer): r for r in results.rows}


def test_every_adversary_meets_every_unlearner_and_each_is_healed_in_three_ways(
    rows: dict[tuple[str, str, str, str | None], Any],
) -> None:
    expected = {
        (adversary, unlearner, stage, healer)
        for adversary in ADVERSARIES
        for unlearner in UNLEARNERS
        for stage, healer in [
            ("original", None), ("gold", None), ("unlearned", None),
            ("healed", "retain+twins"), ("healed", "retain"), ("healed", "twins"),
        ]
    }  # fmt: skip
    assert set(rows) == expected


def test_the_figures_hang_together(rows: dict[tuple[str, str, str, str | None], Any]) -> None:
    for (adversary, unlearner, stage, healer), row in rows.items():
        gold = rows[adversary, unlearner, "gold", None]
        assert 0 <= row.test_accuracy <= 100
        assert 0 <= row.membership_auc <= 1
        assert row.forget_size == 72 - 7 == 65
        assert row.reserve_left == 144 if healer in (None, "retain") else row.reserve_left < 144
        assert (row.whole is None) == (stage == "gold")
        if (unlearner, stage) == ("retrain", "unlearned"):
            assert (row.test_accuracy, row.membership_auc) == (gold.test_accuracy, gold.membership_auc)
            assert row.whole == "pass"
            control = rows[adversary, unlearner, "original", None].forgotten
            assert row.forgotten == ("pass" if control == "fail" else "not enough evidence")
        if (unlearner, stage) == ("sisa", "unlearned"):
            assert row.forgotten != "fail", "SISA's unlearning is what its own retraining gives"


def test_the_original_is_the_control(rows: dict[tuple[str, str, str, str | None], Any]) -> None:
    """Where gold knows little of the forgotten, the original must fail; where it knows them too, nothing may pass."""
    for adversary in ("output-aware", "parameter-aware"):
        assert rows[adversary, "fisher", "original", None].forgotten == "fail"
    for (adversary, _, _, _), row in rows.items():
        if adversary == "random":
            assert row.forgotten != "pass"


def test_attacks_hurt_gold_more_than_random_removal(rows: dict[tuple[str, str, str, str | None], Any]) -> None:
    gold = {adversary: rows[adversary, "retrain", "gold", None] for adversary in ADVERSARIES}
    original = rows["random", "retrain", "original", None]
    assert gold["parameter-aware"].test_accuracy < original.test_accuracy - 1
    for adversary in ("output-aware", "parameter-aware"):
        assert gold[adversary].forget_accuracy < gold["random"].forget_accuracy - 20


def test_healing_keeps_the_model_whole(rows: dict[tuple[str, str, str, str | None], Any]) -> None:
    for adversary in ADVERSARIES:
        for unlearner in ("fisher", "influence"):
            gold = rows[adversary, unlearner, "gold", None].test_accuracy
            assert rows[adversary, unlearner, "healed", "retain+twins"].test_accuracy > gold - 2


def test_exhaustion_is_noted(results: Results) -> None:
    assert any("blind: 65 samples were forgotten, but only 14 spares" in note for note in results.notes)
    assert {pair.adversary for pair in results.twins} == set(ADVERSARIES)


def test_a_healing_that_diverges_is_noted_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Healer.heal

    def heal(self: Healer, *arguments: Any, **settings: Any) -> Any:
        if self.strategy == "twins":
            raise DivergedError("training diverged")
        return real(self, *arguments, **settings)

    monkeypatch.setattr(Healer, "heal", heal)
    found = Demo(digit_setup(), adversaries=["random"], unlearners=["influence"]).run()
    assert [r.healer for r in found.rows if r.stage == "healed"] == ["retain+twins", "retain"]
    assert "random: healing influence with twins failed: training diverged." in found.notes


def test_the_command_line_writes_both_files_and_names_them(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["demo", "--adversary", "blind", "random", "--unlearner", "fisher", "--seed", "3", "--out", str(out)]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    assert str(out / "report.html") in ran.output.replace("\n", "")
    report = json.loads((out / "report.json").read_text())
    assert set(report) == {"environment", "rows"}
    assert {row["adversary"] for row in report["rows"]} == {"blind", "random"}
    assert all(set(row) >= KEYS for row in report["rows"])
    assert {row["seed"] for row in report["rows"]} == {3}
    assert report["environment"]["versions"]["torch"]
    assert "Fisher" in ran.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--adversary", "nice", "--unlearner", "fisher", "luck"], ["adversary nice", "unlearner luck", "2 problems"]),
        (["--dataset", "nowhere"], ["none of digits, mnist, cifar10", "no such folder"]),
        (["--out", __file__], ["is not a folder that you may write to"]),
        (["--out", f"{__file__}/inside"], ["cannot be written"]),
    ],
)
def test_mistakes_are_named_before_any_training(arguments: list[str], words: list[str]) -> None:
    ran = CliRunner().invoke(app, ["demo", *arguments])
    assert ran.exit_code == 2
    shown = " ".join(ran.output.split())
    assert all(word in shown for word in words)
    assert "training" not in shown


def test_what_the_report_needs_is_asked_for_before_any_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unscathed.lab.report.missing_extras", lambda: ["plotly is missing; pip install it"])
    ran = CliRunner().invoke(app, ["demo", "--adversary", "nice"])
    assert ran.exit_code == 2
    assert "plotly is missing" in ran.output
    assert "unknown adversary nice" in " ".join(ran.output.split())


def test_unknown_names_are_refused_by_the_demo_itself() -> None:
    with pytest.raises(BadInputError, match="unknown adversary nobody"):
        Demo(digit_setup(), adversaries=["nobody"])


@pytest.mark.data
def test_a_folder_that_is_too_small_says_so() -> None:
    ran = CliRunner().invoke(app, ["demo", "--dataset", str(data_folder("afhq_sample"))])
    assert ran.exit_code == 2
    assert "too few" in ran.output
