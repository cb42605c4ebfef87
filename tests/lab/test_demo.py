from pathlib import Path

import pandas as pd
import pytest
from tests.support import data_folder
from typer.testing import CliRunner

from unscathed import BadInputError
from unscathed.cli import app
from unscathed.lab.demo import demo_experiment
from unscathed.lab.frames import complete, read
from unscathed.lab.runner import run
from unscathed.lab.store import Store

ADVERSARIES = [f"{name}(budget=0.05)" for name in ("Random", "OneClass", "OutputAware", "ParameterAware")]
RANDOM, BLIND, OUTPUT_AWARE, PARAMETER_AWARE = ADVERSARIES
UNLEARNERS = ["Retrain", "Sisa", "Fisher", "Influence"]
BOTH, CONTROL, TWINS = "Healer", "Healer(strategy='retain')", "Healer(strategy='twins')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    assert not run(demo_experiment(), folder / "results", store=Store(folder / "cache")).failures
    return folder / "results"


@pytest.fixture(scope="module")
def frame(folder: Path) -> pd.DataFrame:
    return complete(read(folder))


def value(frame: pd.DataFrame, measure: str, adversary: str, unlearner: str, stage: str, healer: str = BOTH) -> float:
    found = frame[(frame.measure == measure) & (frame.adversary == adversary) & (frame.unlearner == unlearner)]
    return float(found[(found.stage == stage) & (found.healer == healer)].value.item())


def outcome(frame: pd.DataFrame, measure: str, adversary: str, unlearner: str, stage: str, healer: str = BOTH) -> str:
    found = frame[(frame.measure == measure) & (frame.adversary == adversary) & (frame.unlearner == unlearner)]
    return str(found[(found.stage == stage) & (found.healer == healer)].outcome.item())


def test_every_adversary_meets_every_unlearner_and_each_is_healed_in_three_ways(frame: pd.DataFrame) -> None:
    met = frame[frame.measure == "test_accuracy"].groupby(["adversary", "unlearner", "healer"]).stage.agg(set)
    assert set(met.index) == {(a, u, h) for a in ADVERSARIES for u in UNLEARNERS for h in (BOTH, CONTROL, TWINS)}
    assert all(stages == {"original", "gold", "unlearned", "healed"} for stages in met)


def test_the_figures_hang_together(frame: pd.DataFrame) -> None:
    assert set(frame.forget_size) == {65}
    assert set(frame.reserve_size) == {144}
    assert frame[frame.measure.str.endswith("accuracy")].value.between(0, 100).all()
    assert frame[frame.measure == "membership_auc"].value.between(0, 1).all()
    assert set(frame[frame.measure == "whole"].stage) == {"original", "unlearned", "healed"}, "gold is not audited"
    for adversary in ADVERSARIES:
        gold = value(frame, "test_accuracy", adversary, "Retrain", "gold")
        assert value(frame, "test_accuracy", adversary, "Retrain", "unlearned") == gold
        assert outcome(frame, "whole", adversary, "Retrain", "unlearned") == "pass"
        control = outcome(frame, "forgotten", adversary, "Retrain", "original")
        expected = "pass" if control == "fail" else "not enough evidence"
        assert outcome(frame, "forgotten", adversary, "Retrain", "unlearned") == expected
        # SISA's unlearning is what its own retraining gives.
        assert outcome(frame, "forgotten", adversary, "Sisa", "unlearned") != "fail"


def test_the_original_is_the_control(frame: pd.DataFrame) -> None:
    """Where gold knows little of the forgotten, the original must fail; where it knows them too, nothing may pass."""
    for adversary in (OUTPUT_AWARE, PARAMETER_AWARE):
        assert outcome(frame, "forgotten", adversary, "Fisher", "original") == "fail"
    assert "pass" not in set(frame[(frame.measure == "forgotten") & (frame.adversary == RANDOM)].outcome)


def test_attacks_hurt_gold_more_than_random_removal(frame: pd.DataFrame) -> None:
    original = value(frame, "test_accuracy", RANDOM, "Retrain", "original")
    assert value(frame, "test_accuracy", PARAMETER_AWARE, "Retrain", "gold") < original - 1
    for adversary in (OUTPUT_AWARE, PARAMETER_AWARE):
        known = value(frame, "forget_accuracy", adversary, "Retrain", "gold")
        assert known < value(frame, "forget_accuracy", RANDOM, "Retrain", "gold") - 20


def test_healing_keeps_the_model_whole(frame: pd.DataFrame) -> None:
    for adversary in ADVERSARIES:
        for unlearner in ("Fisher", "Influence"):
            gold = value(frame, "test_accuracy", adversary, unlearner, "gold")
            assert value(frame, "test_accuracy", adversary, unlearner, "healed") > gold - 2


def test_spares_run_short_where_one_class_is_attacked(frame: pd.DataFrame) -> None:
    assert value(frame, "twins", BLIND, "Fisher", "healed") < 20
    assert value(frame, "twins", RANDOM, "Fisher", "healed") > 60


def test_the_command_line_writes_a_report_and_names_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["demo", "--adversary", "blind", "random", "--unlearner", "fisher", "--seed", "3", "--out", str(out)]
    ran = CliRunner().invoke(app, [*arguments, "--cache", str(tmp_path / "cache")])
    assert ran.exit_code == 0, ran.output
    assert str(out / "report.html") in ran.output.replace("\n", "")
    assert (out / "report.html").stat().st_size > 1_000_000
    frame = read(out)
    assert set(frame.adversary) == {RANDOM, BLIND}
    assert set(frame.seed) == {3}
    assert "Fisher" in ran.output
    again = CliRunner().invoke(app, [*arguments, "--cache", str(tmp_path / "cache")])
    assert "were there before" in again.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--adversary", "nice", "--unlearner", "fisher", "luck"], ["adversary nice", "unlearner luck", "2 problems"]),
        (["--adversary", "randm"], ["did you mean random"]),
        (["--dataset", "nowhere"], ["none of", "digits", "no such folder"]),
        (["--out", __file__], ["cannot write results"]),
        (["--out", f"{__file__}/inside"], ["cannot write results"]),
    ],
)
def test_mistakes_are_named_before_any_training(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["demo", *arguments, "--cache", str(tmp_path / "cache")])
    assert ran.exit_code == 2
    shown = " ".join(ran.output.split())
    assert all(word in shown for word in words), shown
    assert "training" not in shown


def test_what_the_report_needs_is_asked_for_before_any_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unscathed.lab.report.missing_extras", lambda: ["plotly is missing; pip install it"])
    ran = CliRunner().invoke(app, ["demo"])
    assert ran.exit_code == 2
    assert "plotly is missing" in ran.output


def test_names_are_read_as_people_write_them() -> None:
    chosen = demo_experiment(adversaries=["Output-Aware", "one_class"], unlearners=["SISA"])
    assert {str(c.adversary) for c in chosen.cells} == {OUTPUT_AWARE, BLIND}
    assert {str(c.unlearner) for c in chosen.cells} == {"Sisa"}
    with pytest.raises(BadInputError, match="unknown adversary nobody; choose from random"):
        demo_experiment(adversaries=["nobody"])


@pytest.mark.data
def test_a_folder_that_is_too_small_says_so(tmp_path: Path) -> None:
    arguments = ["--dataset", str(data_folder("afhq_sample")), "--out", str(tmp_path / "out")]
    ran = CliRunner().invoke(app, ["demo", *arguments, "--cache", str(tmp_path / "cache")])
    assert ran.exit_code == 2
    assert "too few" in " ".join(ran.output.split())
