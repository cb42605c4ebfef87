import json
import math

import pytest
from tests.support.plans import points, question

from unscathed.planning.conclusion import conclude

FALLING = {0.1: (0.039, 0.040, 0.041), 0.2: (0.029, 0.030, 0.031), 0.4: (0.009, 0.010, 0.011)}
"""Means of 4, 3 and 1 %: 2 % are met halfway between the last two sizes."""


def test_the_size_is_where_the_curve_meets_the_tolerance() -> None:
    exact = {share: (values[1],) * 3 for share, values in FALLING.items()}
    plan = conclude(points(exact), question())
    assert plan.limit == "loss"
    assert plan.size == 300
    assert plan.share == pytest.approx(0.3)
    assert plan.interval == (300, 300) or plan.interval == (299, 300)


def test_spread_makes_the_size_larger_and_the_interval_hold_the_truth() -> None:
    plan = conclude(points(FALLING), question())
    # One-sided, with 6 degrees of freedom: 1.943180 times 0.001 / √3 is added to the loss, 0.02 of share a 0.002 of it.
    assert plan.share == pytest.approx(0.3 + 1.943180 * 0.001 / 3**0.5 / 0.02 * 0.2)
    low, high = plan.interval
    assert high is not None
    assert low < 300 < plan.size < high
    assert low == int(1000 * (0.3 - 2.446912 * 0.001 / 3**0.5 * 10))


def test_unequal_seeds_are_read_as_they_are() -> None:
    plan = conclude(points({0.1: (0.04, 0.04), 0.2: (0.03,), 0.4: (0.01, 0.01, 0.01)}), question())
    assert plan.size == 300
    assert plan.curve.seeds == (2, 1, 3)


def test_nothing_holds_and_the_plan_says_so() -> None:
    plan = conclude(points(FALLING), question(tolerance=0.005))
    assert plan.limit == "nothing holds"
    assert plan.size is None
    assert plan.share is None
    assert plan.interval == (400, None), "the smallest that holds is larger than all that were tried"
    assert "of the sizes that were tried (10.0% to 40.0%) none keeps the loss within 0.50" in plan.reasons[0]
    assert "none is known to hold" in str(plan)


def test_too_few_pilots_to_tell_is_not_the_same_as_nothing_holds() -> None:
    plan = conclude(points({0.1: (0.0, 0.03), 0.2: (0.03, 0.0)}), question())
    assert plan.size is None
    assert plan.interval == (0, None)
    assert "too few to tell" in str(plan)


def test_where_everything_holds_twins_for_everyone_are_what_is_needed() -> None:
    plan = conclude(points(FALLING, asked={"a": 30, "b": 52}), question(tolerance=0.1))
    assert plan.limit == "exhaustion"
    assert plan.needed == {"a": 30, "b": 52}
    # Of class b 52 are needed, and a reserve in the classes' own proportions holds so many from 13 % on.
    assert plan.size == 130
    assert "the loss sets no limit here" in plan.reasons[0]
    assert "82 spares (a: 30, b: 52)" in plan.reasons[1]
    assert "for the loss alone, the smallest that was tried is enough: 100" in str(plan)
    assert "not extrapolated" in plan.reasons[-1]
    assert "ran out" not in " ".join(plan.reasons)


def test_the_most_demanding_seed_decides_and_the_others_are_the_interval() -> None:
    made = points({0.1: (0.0,)}, asked={"a": 60, "b": 10}) + points({0.1: (0.0, 0.0)}, asked={"a": 12, "b": 30})[1:]
    plan = conclude(made, question())
    assert plan.needed == {"a": 60, "b": 30}
    assert plan.interval == (75, 100)
    assert plan.size == 100


def test_a_tolerable_loss_beside_a_spent_reserve_is_told() -> None:
    plan = conclude(points(FALLING, ran_out=4), question(tolerance=0.1))
    assert "even where the reserve of 10.0% ran out (3 of 3 pilots)" in " ".join(plan.reasons)


def test_what_lies_outside_the_pilots_is_called_extrapolated() -> None:
    plan = conclude(points(FALLING, asked={"a": 300, "b": 200}), question(tolerance=0.1))
    assert plan.size == 500
    assert "extrapolated: 50.0% lies outside the sizes that were tried (10.0% to 40.0%)" in plan.reasons


def test_short_pilots_are_stretched_and_say_so() -> None:
    plan = conclude(points(FALLING, asked={"a": 6, "b": 4}), question(piloted=5, tolerance=0.06))
    assert plan.curve.mean == pytest.approx((0.08, 0.06, 0.02))
    assert plan.needed == {"a": 12, "b": 8}
    assert plan.limit == "loss"
    assert plan.help.mean == pytest.approx((0.06 + 0.07 + 0.09) / 3 * 2)
    assert str(plan).count("+20.00 ") == 3, "the control's loss of 0.1, stretched, beside each size"
    assert any("pilots ran 5 of 10 requests" in reason for reason in plan.reasons)
    # Twins for all requests decide where the loss alone would let a smaller reserve pass.
    more = conclude(points(FALLING, asked={"a": 150, "b": 20}), question(piloted=5, tolerance=0.06))
    assert more.limit == "exhaustion"
    assert more.size == 500


def test_pilots_on_a_part_scale_requests_up() -> None:
    plan = conclude(points(FALLING, asked={"a": 6, "b": 4}), question(tolerance=0.1, pilot=0.5, scale=2.5))
    assert plan.needed == {"a": 15, "b": 10}
    assert plan.size == 25
    assert any("on 50.0% of the samples" in reason for reason in plan.reasons)


def test_a_horizon_that_no_reserve_lasts_for_has_no_size() -> None:
    # A reserve of 663 for 265 of class b leaves 337 to train on, and 330 are asked for; one for 275 leaves too few.
    assert conclude(points(FALLING, asked={"a": 65, "b": 265}), question(tolerance=0.1)).size == 663
    plan = conclude(points(FALLING, asked={"a": 65, "b": 275}), question(tolerance=0.1))
    assert plan.size is None
    assert "no reserve lasts for this horizon" in plan.reasons[1]
    assert "none lasts" in str(plan)


@pytest.mark.parametrize(
    ("control", "words"),
    [(0.06, "twins help: "), (0.0, "twins harm: "), (0.0405, "the reserve is not what helps, as far as 3 seeds tell")],
)
def test_the_control_tells_whether_twins_did_anything(control: float, words: str) -> None:
    plan = conclude(points({0.1: (0.039, 0.040, 0.042)}, control=control), question())
    assert any(reason.startswith(words) for reason in plan.reasons)
    told = any("for the loss, no reserve is needed" in reason for reason in plan.reasons)
    assert told == (control == 0.0)


def test_help_is_paired_by_seed() -> None:
    # Losses differ by far more between seeds than a seed's loss does from its control's.
    made = [
        p
        for c, loss in enumerate((0.0, 0.05, 0.1))
        for p in points({0.1: (0,) * c + (loss,)}, control=loss + 0.001 + c * 1e-5)[c:]
    ]
    aid = conclude(made, question()).help
    assert aid.mean == pytest.approx(0.00101)
    assert aid.low > 0


def test_gold_beside_each_size_shows_what_holding_back_costs() -> None:
    made = points({0.1: (0.0, 0.0)}, gold=0.95) + points({0.4: (0.0, 0.0)}, gold=0.85)
    plan = conclude(made, question())
    assert any("95.00 beside a reserve of 10.0% and 85.00 beside one of 40.0%" in r for r in plan.reasons)


@pytest.mark.parametrize(("before", "told"), [(0.95, True), (0.91, False)])
def test_what_requests_do_to_gold_itself_is_told(before: float, told: bool) -> None:
    plan = conclude(points(FALLING, original=before, gold=0.9), question())
    found = [r for r in plan.reasons if r.startswith("gold itself lies")]
    assert len(found) == told
    assert all(r.startswith("gold itself lies 5.00 below the model before all requests") for r in found)


@pytest.mark.parametrize(("loss", "told"), [(-0.05, True), (-0.01, False)])
def test_models_above_gold_are_suspected_of_memory(loss: float, told: bool) -> None:
    plan = conclude(points({0.1: (loss, loss + 0.001, loss - 0.001)}), question())
    found = [r for r in plan.reasons if r.startswith("healed models lie")]
    assert len(found) == told
    assert all(r.startswith("healed models lie 5.00 above gold") for r in found)


def test_text_and_json_hold_the_curve() -> None:
    plan = conclude(points(FALLING), question())
    text = str(plan)
    assert "reserve: 312 spares" in text
    assert "+3.00 [" in text
    assert text.count("●") == 3
    record = json.loads(json.dumps(plan.to_json(), allow_nan=False))
    assert record["size"] == plan.size
    assert record["interval"] == list(plan.interval)
    assert record["points"][0]["loss"] == pytest.approx(0.039)
    assert len(record["points"]) == 9


def test_json_without_intervals_or_twins_knows_no_infinity() -> None:
    made = points({0.1: (0.0,), 0.2: (0.0,)}, distance=float("nan"))
    made += points({0.1: (0.01, 0.02)})[1:]
    record = json.loads(json.dumps(conclude(made, question()).to_json(), allow_nan=False))
    assert record["points"][0]["distance"] is None
    assert all(math.isfinite(limit) for name in ("low", "high") for limit in record["curve"][name])
    assert None not in record["help"].values()
