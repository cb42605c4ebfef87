"""The page of an audit: what it must say, and what it must not do."""

import json
import re
from typing import Any

import pytest

from unscathed.audit import Check, Control, Difference, Verdict
from unscathed.lab.report.audit_page import CLASSES, audit_page
from unscathed.lab.report.audit_rows import power_of, row_of, sharpest
from unscathed.lab.report.interval_picture import interval_picture

UNSEEN = Difference(0.97, 0.68, 0.21, 0.37, 0.04)
TEST = Difference(0.95, 0.947, -0.007, 0.013, 0.005)
SCORE = Check("score on the forgotten", UNSEEN, -0.05, 0.05, True, memory=0.287)
WEAK = Check("membership AUC", Difference(0.11, 0.1, -0.01, 0.03, 0.01), -0.05, 0.05, weak=True, memory=-0.01)
WHOLE = Check("score on test samples", TEST, -0.02, None, True)
HISTOGRAM = {"counts": [0, 3, 9, 2], "median": 1.5}


def verdict(**changes: Any) -> Verdict:
    parts: dict[str, Any] = {
        "utility": (WHOLE, Check("worst class", TEST, None, None, True), Check("class seven", TEST, -0.05, None, True)),
        "forgetting": (SCORE, WEAK),
        "controls": (Control("the original", "forgetting", (SCORE,)),),
    }
    return Verdict(**{**parts, **changes})


def record(found: Verdict, **changes: Any) -> dict[str, Any]:
    """A record with this verdict, made by hand, and read back from JSON as the page's would be."""
    models = {"path": "runs/healed", "record": True, "digest": "d1", "samples": 9, "history": []}
    made = {
        "title": "healed",
        "outcome": "fail",
        "verdict": found.to_json(),
        "rests_on": ["Gold: a model retrained."],
        "samples": {"trained on": 1294, "forgotten": 129, "test": 359, "unseen": 40, "unseen_are": "spares"},
        "forget_set": {"count": 129, "digest": "d2", "ids": "Ids are not written here."},
        "models": {"model": models, "gold": models},
        "margins": {"low": -2.0, "high": 6.0, "models": {"model": {"forgotten": HISTOGRAM, "unseen": HISTOGRAM}}},
        "settings": {
            "task": {"task": "ClassificationTask", "model": "DigitNet", "parameters": 17226},
            "recipe": {"epochs": 20, "augment": []},
            "tolerance": {"utility": 0.02, "loss": None}, "shadows": 0, "relearning": False, "seed": 0,
        },
        "provenance": {
            "command": "unscathed audit healed", "started": "2026-01-01T00:00:00+00:00", "seconds": {"all": 1.25},
            "processor": "Toy CPU", "cores": 2, "accelerator": None, "platform": "Linux", "commit": "abc123",
            "versions": {"torch": "2.6.0"},
        },
    }  # fmt: skip
    read: dict[str, Any] = json.loads(json.dumps({**made, **changes}))
    return read


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)).split())


def test_it_says_what_was_found_and_what_that_rests_on() -> None:
    said = words(audit_page(record(verdict())))
    for part in (
        "Audit of healed", "129 of 1,294 samples", "The model fails", "the model still knows them",
        "97.0 % where gold has 68.0 %", "+29.0 points [+21.0, +37.0]", "tolerated ±5.0", "the original forgotten yes",
        "of the original’s memory", "weak", "Gold: a model retrained.", "no proof", "Toy CPU", "torch 2.6.0", "abc123",
        "weights d1", "ids d2", "epochs 20", "utility 0.02", "unscathed audit healed", "seven",
    ):  # fmt: skip
        assert part in said, f"{part!r} is not in {said}"


def test_nothing_is_fetched_and_nothing_runs() -> None:
    page = audit_page(record(verdict()))
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<link|<iframe|<img|@import|url\(|\son\w+=|https?://", page)


def test_names_are_escaped() -> None:
    """Class names, file names and words of others come from outside."""
    evil = "<script>alert(1)</script>\"'"
    found = verdict(
        utility=(WHOLE, Check(f"class {evil}", TEST, -0.05, None, True)),
        forgetting=(Check(evil, UNSEEN, -0.05, 0.05, True, against=evil, remark=evil),),
        controls=(Control(evil, "forgetting", (Check(evil, UNSEEN, -0.05, 0.05),)),),
        note=evil,
    )
    made = record(found, title=evil, rests_on=[evil])
    made["models"]["model"]["path"] = evil
    made["models"]["model"]["history"] = [{"kind": "healed", "by": evil, "samples": 1, "steps": 1}]
    made["provenance"]["command"] = evil
    page = audit_page(made)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;") >= 10


def test_a_pass_that_controls_get_is_none() -> None:
    through = Control("the original", "forgetting", (Check("score", TEST, -0.05, 0.05, True),))
    found = verdict(forgetting=(Check("score", TEST, -0.05, 0.05, True),), controls=(through,))
    said = words(audit_page(record(found, outcome="not enough evidence")))
    assert "let the original through" in said
    assert "not enough evidence" in said
    assert "the original no nothing" in " ".join(said.replace("forgotten", "").split())


def test_without_gold_nothing_speaks_of_it() -> None:
    found = verdict(forgetting=(WEAK,), utility_reference="the original", forgetting_reference="unseen samples")
    made = record(found, rests_on=["There is none."])
    made["models"] = {"model": made["models"]["model"]}
    said = words(audit_page(made))
    assert "0.110 where chance is 0.100" in said
    assert "what unseen samples are?" in said
    assert "only gold would tell" in said
    assert said.count("gold") == 1


def test_many_classes_leave_the_worst() -> None:
    classes = [
        Check(f"class name {i:03}", Difference(i / 100, 0.5, i / 100 - 0.6, i / 100 - 0.4), -0.05, None, True)
        for i in range(99)
    ]
    said = words(audit_page(record(verdict(utility=(WHOLE, *classes)))))
    shown = set(re.findall(r"name \d{3}", said))
    assert {f"name {i:03}" for i in range(CLASSES)} == shown
    assert f"And {99 - CLASSES} more classes" in said


@pytest.mark.parametrize(
    ("check", "part"),
    [
        (SCORE, "% of the original’s memory"),
        (WEAK, "The original shows no memory here"),
        (Check("score", UNSEEN, -0.05, 0.05, True, memory=0.01), "Would not be sure to see even the original’s memory"),
        (Check("score", UNSEEN, -0.05, 0.05, True), "points or more"),
        (Check("score", UNSEEN, None, None, True, memory=0.1), ""),
    ],
)
def test_power_is_told_in_words(check: Check, part: str) -> None:
    said = power_of(check.to_json(), asks="forgetting")
    assert part in said
    assert bool(said) == bool(part)


def test_the_sharpest_check_speaks_for_all() -> None:
    half, tenth = ({"judged": True, "detectable_memory": share} for share in (0.5, 0.1))
    assert "10 %" in sharpest([half, tenth])
    assert "None of these" in sharpest([{"judged": True, "detectable_memory": 3.0}])
    assert sharpest([{"judged": False, "detectable_memory": 0.1}]) == ""


def test_the_picture_is_to_scale() -> None:
    picture = interval_picture(SCORE.to_json(), "{:+.2f}".format)
    scale = (picture.at - 50) / 0.29
    assert picture.band is not None
    assert picture.memory is not None
    for place, value in (
        (picture.low, 0.21), (picture.high, 0.37), (picture.band[0], -0.05), (picture.band[1], 0.05),
        (picture.memory, 0.287),
    ):  # fmt: skip
        assert place - 50 == pytest.approx(scale * value)
    assert 0 < picture.low < picture.high < 100
    assert [label.text for label in picture.labels] == ["-0.05", "+0.05"]


def test_a_picture_may_have_no_end_and_no_bound() -> None:
    open_ended = Check("score", Difference(0.0, 0.0, float("-inf"), float("inf")), None, 0.5).to_json()
    picture = interval_picture(open_ended, str)
    assert picture.beyond_left
    assert picture.beyond_right
    assert (picture.low, picture.high) == (0.0, 100.0)
    assert picture.band is not None
    assert picture.band[0] == 0.0
    told = interval_picture(Check("loss", TEST, None, None).to_json(), str)
    assert told.band is None
    assert not told.beyond_left
    assert "∞" in row_of(open_ended, "gold", asks="forgetting").difference
    assert interval_picture(Check("same", Difference(1.0, 1.0, 0.0, 0.0), None, None).to_json(), str).at == 50
