from pathlib import Path

import pytest
from tests.support.folders import ALONE, AWARE, BOTH, COMMON, CONTROL, RANDOM, made_models, made_pairs, write_folder

from unscathed import BadInputError
from unscathed.lab.report.cases import cases
from unscathed.lab.report.source import results_from

CELL = {axis: COMMON[axis] for axis in ("dataset", "model", "recipe", "task", "reserve")}
FAILED = {
    "cell": {
        **CELL, "adversary": RANDOM, "unlearner": "Fisher", "healer": ALONE, "similarity": "Cosine", "stage": "healed",
        "seed": 0,
    },
    "work": "measuring healed",
    "error": "DivergedError: training diverged.",
}  # fmt: skip


def test_every_unlearner_gets_what_all_share(tmp_path: Path) -> None:
    own = {(AWARE, "Sisa", "original"): {"test_accuracy": 80.5}}
    (results,) = results_from(write_folder(tmp_path, made_models(unlearners=["Sisa", "Fisher"], but=own)))
    found = {(case.adversary, case.unlearner): case for case in cases(results)}
    assert list(found) == [(a, u) for a in ("random", "parameter-aware") for u in ("SISA", "Fisher")]
    case = found["parameter-aware", "SISA"]
    shown = [model.test_accuracy for model in case.models if model is not None]
    assert shown == [80.5, 90.5, 84.75, 90.25, 89.75, 88.5]
    assert found["parameter-aware", "Fisher"].original.test_accuracy == 91.25  # type: ignore[union-attr]
    row = case.both.rows[0]  # type: ignore[union-attr]
    assert (row.steps, row.seconds, row.forget_size, row.reserve_left, row.twins) == (40, 0.5, 80, 60, 40)
    assert (row.whole, row.forgotten, row.membership_auc) == ("pass", "pass", 0.521)
    assert case.original.rows[0].forgotten == "fail"  # type: ignore[union-attr]
    assert case.gold.rows[0].whole is None  # type: ignore[union-attr]
    assert case.gold.rows[0].reserve_left == 100  # type: ignore[union-attr]


def test_the_environment_is_what_the_measurements_say(tmp_path: Path) -> None:
    models = made_models(seeds=[0, 1, 2])
    models[0] |= {"device": "cuda:0", "started": "2026-01-03T00:00:00+00:00"}
    (results,) = results_from(write_folder(tmp_path, models))
    made = results.environment
    assert made["device"] == ["cuda:0", "cpu"]
    assert made["started"] == "2026-01-01T00:00:00+00:00 to 2026-01-03T00:00:00+00:00"
    assert made["seed"] == "0, 1, 2"
    assert (made["training_samples"], made["reserve"], made["test_samples"]) == (900, 100, 400)
    assert made["versions"]["torch"] == "2.6.0"
    assert made["healer"] == [BOTH, CONTROL, ALONE]
    assert made["adversaries"] == [RANDOM, AWARE]


def test_each_setting_is_told_apart(tmp_path: Path) -> None:
    models = made_models(datasets=["toy", "mnist"], seeds=[0, 1], common={"experiment": "both"})
    found = results_from(write_folder(tmp_path, models))
    assert [results.title for results in found] == ["MNIST", "toy"]
    assert {row.dataset for row in found[1].rows} == {"toy"}
    assert {row.seed for row in found[1].rows} == {0, 1}


def test_a_reserve_that_ran_short_is_noted(tmp_path: Path) -> None:
    models = made_models(adversaries=[RANDOM, AWARE, "OneClass(budget=0.05)"], seeds=[0, 1])
    for model in models:
        if "twins" in model["measures"] and model["adversary"] != RANDOM:
            model["measures"]["twins"] = 14.0 + model["seed"]
        elif "twins" in model["measures"]:
            model["measures"]["twins"] = 80.0
    (results,) = results_from(write_folder(tmp_path, models))
    assert results.notes == [
        "blind, parameter-aware: 80 samples were forgotten, but only 14 to 15 spares of their classes were in the "
        "reserve; healing used what there was."
    ]


def test_failures_are_noted_each_error_once(tmp_path: Path) -> None:
    models = [m for m in made_models(adversaries=[RANDOM]) if (m["unlearner"], m["healer"]) != ("Fisher", ALONE)]
    for model in models:
        model["measures"].pop("twins", None)
    (results,) = results_from(write_folder(tmp_path / "one", models, failures=[FAILED]))
    assert results.notes == ["random: healing Fisher with twins failed: DivergedError: training diverged."]
    gold = [
        {"cell": {**FAILED["cell"], "stage": stage, "healer": None}, "work": "training gold", "error": "E: x"}
        for stage in ("gold", "unlearned")
    ]
    later = {**FAILED, "cell": {**FAILED["cell"], "seed": 1}}
    elsewhere = {**FAILED, "cell": {**FAILED["cell"], "dataset": "other"}}
    more = [{**m, "seed": 1} for m in models]
    folder = write_folder(tmp_path / "two", [*models, *more], failures=[FAILED, later, elsewhere, *gold])
    (results,) = results_from(folder)
    assert results.notes == [
        "random: healing Fisher with twins failed with seeds 0, 1: DivergedError: training diverged.",
        "training gold failed, and 2 models could not be measured: E: x.",
    ]


def test_twins_are_those_of_the_first_seed(tmp_path: Path) -> None:
    pairs = made_pairs([AWARE, RANDOM])
    later = [{**pair, "seed": 3, "label": "nine"} for pair in pairs]
    blank = [{**pairs[0], "forgotten": "sample-9", "forgotten_image": None, "twin_image": None}]
    folder = write_folder(tmp_path, made_models(), twins=[*later, *pairs, *blank])
    (results,) = results_from(folder)
    assert [(pair.adversary, pair.label) for pair in results.twins] == [
        ("random", "seven"),
        ("parameter-aware", "seven"),
        ("parameter-aware", "seven"),
    ]
    assert results.twins[-1].twin_image is None


def test_healers_and_similarities_beyond_their_strategy_make_cases_of_their_own(tmp_path: Path) -> None:
    models = made_models(adversaries=[RANDOM], unlearners=["Fisher"], healers=[BOTH, CONTROL])
    healed = [m for m in models if m["healer"] == BOTH]
    models += [{**m, "healer": "Healer(steps=9)", "measures": {"test_accuracy": 70.0}} for m in healed]
    models += [{**m, "similarity": "Euclidean", "measures": {"test_accuracy": 60.0}} for m in healed]
    (results,) = results_from(write_folder(tmp_path, models))
    found = {case.name: case for case in cases(results)}
    assert list(found) == ["Fisher, cosine", "Fisher, L2", "Fisher, steps=9, cosine"]
    assert [case.both.test_accuracy for case in found.values()] == [90.25, 60.0, 70.0]  # type: ignore[union-attr]
    assert [case.control is not None for case in found.values()] == [True, True, False]
    assert all(case.gold is not None for case in found.values())


def test_scores_that_are_no_shares_are_scores(tmp_path: Path) -> None:
    models = made_models()
    for model in models:
        model["measures"] = {"test_score": -0.25, "forget_score": -0.5}
    (results,) = results_from(write_folder(tmp_path, models))
    assert not results.shares
    assert {(row.test_accuracy, row.forget_accuracy) for row in results.rows} == {(-0.25, -0.5)}


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="there is no such folder"):
        results_from(tmp_path / "nowhere")
