import json
import math

import pytest

from unscathed.audit import Check, Difference


def check(low: float, high: float, lowest: float | None = -0.05, highest: float | None = 0.05) -> Check:
    middle = (low + high) / 2
    return Check("x", Difference(0.5 + middle, 0.5, low, high), lowest, highest)


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(-0.01, 0.03, "pass"), (-0.08, -0.06, "fail"), (0.06, 0.2, "fail"), (-0.06, 0.0, "not enough evidence")],
)
def test_outcomes(low: float, high: float, outcome: str) -> None:
    assert check(low, high).outcome == outcome


def test_memory_lies_above_and_a_check_without_bounds_judges_nothing() -> None:
    assert check(0.06, 0.2).exceeds
    assert not check(-0.2, -0.06).exceeds, "too bad on the forgotten fails, and is no memory"
    assert check(5, 9, None, None).outcome == "pass"
    assert check(5, 9, None, None).describe("gold").startswith("· x")
    assert check(5, 9, None, None).detectable is None


def test_a_line_says_what_was_found_against_what() -> None:
    found = Difference(0.971, 0.975, -0.012, 0.006)
    score = Check("score", found, -0.02, None, percent=True)
    line = "✓ score: 97.1 % against unseen samples' 97.5 %, -0.4 [-1.2, +0.6], tolerated at least -2.0"
    assert score.describe("unseen samples") == line
    area = Check("area", found, -0.05, 0.05, against="shadows", remark="8 of them", weak=True).describe("gold")
    assert area == "✓ area (weak): 0.971 against shadows' 0.975, -0.004 [-0.012, +0.006], tolerated ±0.050 (8 of them)"
    assert "between -0.050 and +0.100" in Check("area", found, -0.05, 0.1).describe("gold")


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        (None, "sees +9.2 with 80 % power"),
        (0.18, "sees +9.2 with 80 % power: 51 % of the original's memory"),
        (0.08, "sees +9.2 with 80 % power: more than the original's memory of +8.0"),
        (-0.1, "sees +9.2 with 80 % power; the original shows no memory here"),
    ],
)
def test_power_is_told_beside_what_the_original_remembers(memory: float | None, words: str) -> None:
    # Error 0.015: 0.05 + (1.96 + 0.84) 0.015.
    found = Difference(0.72, 0.7, 0.02 - 0.0294, 0.02 + 0.0294)
    assert Check("score", found, -0.05, 0.05, percent=True, memory=memory).describe_power() == words


def test_json_is_plain_and_whole() -> None:
    one = Check("x", Difference(1.0, 0.5, -math.inf, 1.0), None, 0.2, remark="so", memory=0.7)
    record = json.loads(json.dumps(one.to_json(), allow_nan=False))
    assert record["low"] is None
    assert record["detectable"] is None
    assert (record["name"], record["outcome"], record["highest"], record["lowest"]) == (
        "x",
        "not enough evidence",
        0.2,
        None,
    )
    assert (record["value"], record["reference"], record["difference"], record["memory"]) == (1.0, 0.5, 0.5, 0.7)
