import json
from dataclasses import replace

from unscathed.audit import Check, Control, Difference, Verdict

SCORE = Check("score on test samples", Difference(0.971, 0.975, -0.012, 0.006), -0.02, None, percent=True)
CLASS = Check("class 3", Difference(0.5, 0.9, -0.5, -0.3), -0.05, None, percent=True)
AREA = Check("membership AUC", Difference(0.53, 0.52, -0.02, 0.04), -0.05, 0.05, weak=True, memory=0.2)
FOUND = Control("the original", "forgetting", (replace(AREA, of=Difference(0.72, 0.52, 0.16, 0.24)),))


def test_a_verdict_reads_like_a_sentence() -> None:
    beside = Verdict((SCORE, CLASS), (AREA,), "gold with twins", "gold with twins")
    text = str(Verdict((SCORE, replace(CLASS, of=SCORE.of)), (AREA,), controls=(FOUND,), with_twins=beside, note="So."))
    assert text.splitlines() == [
        "whole: pass",
        "  ✓ score on test samples: 97.1 % against gold's 97.5 %, -0.4 [-1.2, +0.6], tolerated at least -2.0",
        "    sees -3.4 with 80 % power",
        "forgotten: pass",
        "  ✓ membership AUC (weak): 0.530 against gold's 0.520, +0.010 [-0.020, +0.040], tolerated ±0.050",
        "    sees +0.093 with 80 % power: 46 % of the original's memory",
        "controls that fail, as they must: the original",
        "against gold with the twins, which healing aims at, and which decides nothing:",
        "  ✓ score on test samples: 97.1 % against gold with twins' 97.5 %, -0.4 [-1.2, +0.6], tolerated at least -2.0",
        "  ✓ membership AUC (weak): 0.530 against gold with twins' 0.520, +0.010 [-0.020, +0.040], tolerated ±0.050",
        "So.",
    ]


def test_a_class_is_told_where_it_fails() -> None:
    found = Verdict((SCORE, CLASS), (AREA,))
    assert found.whole == "fail"
    assert "✗ class 3" in str(found)


def test_the_other_gold_decides_nothing() -> None:
    lost = Verdict((CLASS,), (replace(AREA, of=Difference(0.9, 0.5, 0.3, 0.5)),))
    assert (lost.whole, lost.forgotten) == ("fail", "fail")
    found = Verdict((SCORE,), (AREA,), with_twins=lost)
    assert (found.whole, found.forgotten) == ("pass", "pass")


def test_json_holds_everything() -> None:
    verdict = Verdict((SCORE, CLASS), (AREA,), controls=(FOUND,), with_twins=Verdict((SCORE,), ()), note="So.")
    record = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert (record["whole"], record["forgotten"], record["powerless"], record["note"]) == ("fail", "pass", False, "So.")
    assert [check["name"] for check in record["utility"]] == ["score on test samples", "class 3"]
    assert record["forgetting"][0]["detectable_memory"] == AREA.detectable_memory
    assert record["controls"][0]["noticed"] is True
    assert record["controls"][0]["checks"][0]["value"] == 0.72
    assert record["with_twins"]["whole"] == "pass"


def test_what_was_never_seen_needs_no_checks() -> None:
    found = Verdict((), (), note="It was a spare.", untouched=True)
    assert (found.whole, found.forgotten, str(found)) == (
        "pass",
        "pass",
        "whole: pass\nforgotten: pass\nIt was a spare.",
    )
    empty = Verdict((), ())
    assert (empty.whole, empty.forgotten) == ("not enough evidence", "not enough evidence")
