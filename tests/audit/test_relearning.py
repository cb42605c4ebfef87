import math
from dataclasses import replace

import pytest
import torch
from tests.audit.test_descent import RATE, orthonormal
from tests.support import NoOp

from unscathed import BadInputError, Fisher, Healer, Retrain, Samples, Tolerance, Trained
from unscathed.audit import Case, Check, Relearning, ScoreOnForgotten
from unscathed.audit.descent import Descent
from unscathed.audit.relearning import head_start

Parts = tuple[Samples, Samples, Samples]


def check_of(measure: Relearning, model: Trained, case: Case) -> Check:
    (check,) = measure.checks(model, case)
    return check


# In closed form: a quadratic, on which every step takes the same share off every residual.


def quadratic(**changes: object) -> Case:
    (original, samples), (gold, _) = orthonormal(0.1), orthonormal(1.0)
    return replace(
        Case(task=original.task, forgotten=samples, unseen=samples, original=original, gold=gold, peer=gold), **changes
    )


@pytest.mark.parametrize("residual", [0.1, 0.2, 1.0, 2.0])
def test_the_head_start_is_the_share_of_golds_steps_that_is_saved(residual: float) -> None:
    model, _ = orthonormal(residual)
    found = check_of(Relearning(learning_rate=1.0), model, quadratic()).of
    per_step = math.log(1 - RATE / 4)
    expected = 1 - math.log(0.1 / residual) / math.log(0.1 / 1.0)
    assert found.value == pytest.approx(expected, abs=0.01)  # between steps, the loss is taken for a straight line
    assert found.low == pytest.approx(found.high), "a single batch has a single order"
    assert math.log(0.1) / per_step == pytest.approx(21.85, abs=0.01)


def test_who_relearns_sooner_than_gold_fails_and_who_does_so_later_as_well() -> None:
    case, measure = quadratic(), Relearning(learning_rate=1.0)
    outcomes = {r: check_of(measure, orthonormal(r)[0], case) for r in (0.1, 0.2, 0.8, 1.0, 40.0)}
    assert {r: check.outcome for r, check in outcomes.items()} == {
        0.1: "fail",
        0.2: "fail",
        0.8: "pass",
        1.0: "pass",
        40.0: "fail",
    }
    assert outcomes[0.1].exceeds
    assert not outcomes[40.0].exceeds
    assert "21." in outcomes[0.8].remark
    assert check_of(measure, orthonormal(0.2)[0], replace(case, tolerance=Tolerance(relearning=0.9))).outcome == "pass"


def test_a_ceiling_bounds_what_is_known() -> None:
    case = quadratic()
    gold_stopped = check_of(Relearning(learning_rate=1.0, ceiling=20), orthonormal(0.2)[0], case)
    assert (gold_stopped.of.high, gold_stopped.outcome) == (1.0, "fail"), "sooner than a gold that takes even longer"
    assert "more than 20" in gold_stopped.remark
    both = check_of(Relearning(learning_rate=1.0, ceiling=5), orthonormal(0.9)[0], case)
    assert (both.of.low, both.of.high, both.outcome) == (-math.inf, 1.0, "not enough evidence")
    late = check_of(Relearning(learning_rate=1.0, ceiling=30), orthonormal(4.0)[0], case)
    assert late.of.low == -math.inf
    assert late.outcome == "not enough evidence"


def test_where_gold_knows_them_as_well_there_is_nothing_to_relearn() -> None:
    case = quadratic(peer=orthonormal(0.05)[0])
    assert case.original is not None
    found = check_of(Relearning(learning_rate=1.0), case.original, case)
    assert (found.outcome, found.exceeds) == ("not enough evidence", False)


# The interval.


ANY, _ = orthonormal(1.0)


def runs(steps: torch.Tensor) -> list[Descent]:
    return [Descent((), True, float(s), ANY) for s in steps]


@pytest.mark.parametrize("golds", [1, 4])
def test_intervals_cover_the_truth_as_often_as_they_say(golds: int) -> None:
    """A model that takes half of gold's steps, in orders of batches that suit both, or not; golds differ as well."""
    generator = torch.Generator().manual_seed(golds)
    draws, held = 400, 0
    for _ in range(draws):
        order = torch.randn(5, generator=generator)
        theirs = []
        for _ in range(golds):
            own = 100 if golds == 1 else 100 + 15 * float(torch.randn((), generator=generator))
            theirs.append(runs(own + 6 * order + 3 * torch.randn(5, generator=generator)))
        ours = runs(50 + 3 * order + 3 * torch.randn(5, generator=generator))
        found = head_start(ours, theirs)
        held += found.low <= 0.5 <= found.high
    assert 0.92 < held / draws < 0.995


def test_the_original_is_far_from_any_number_of_golds() -> None:
    golds = [runs(torch.tensor([s, s + 2.0])) for s in (80.0, 120.0, 100.0)]
    assert head_start(runs(torch.zeros(2)), golds).low > 0.9
    like_gold = head_start(runs(torch.tensor([95.0, 99.0])), golds)
    assert like_gold.low < 0 < like_gold.high


# On digits.


@pytest.fixture(scope="module")
def case(original: Trained, gold: Trained, digits: Parts, hard: tuple[str, ...]) -> Case:
    forgotten = digits[0].only(hard)
    return Case(task=gold.task, forgotten=forgotten, unseen=digits[1], original=original, gold=gold, peer=gold)


def test_gold_passes_and_what_only_hides_its_memory_fails(
    case: Case, original: Trained, digits: Parts, hard: tuple[str, ...]
) -> None:
    measure = Relearning(repeats=2, samples=64)
    other = Retrain().unlearn(original, digits[0], hard, seed=1)
    assert check_of(measure, other, case).outcome == "pass"
    # As bad as gold on the forgotten, and there again in a fifth of the steps.
    hiding = Fisher().unlearn(original, digits[0], hard)
    (score,) = ScoreOnForgotten().checks(hiding, case)
    assert score.outcome != "fail"
    assert check_of(measure, hiding, case).exceeds
    # The original, and what was healed in its place.
    assert check_of(measure, original, case).of.value == pytest.approx(1.0, abs=0.01)
    retain = digits[0].without(hard)
    healed = Healer(strategy="retain").heal(NoOp().unlearn(original, digits[0], hard), retain=retain)
    assert check_of(measure, healed, case).exceeds


def test_few_of_many_forgotten_are_relearned_the_same_for_all(case: Case, original: Trained) -> None:
    measure = Relearning(samples=16, repeats=2, ceiling=40)
    check_of(measure, original, case)
    chosen = case.once((measure, "samples"), lambda: pytest.fail("they were drawn"))
    assert len(chosen) == 16
    assert set(chosen.ids) < set(case.forgotten.ids)


def test_what_is_missing_is_said(case: Case, original: Trained) -> None:
    problems = Relearning(golds=(original,)).problems_with(replace(case, original=None, peer=None))
    assert len(problems) == 3
    assert not Relearning().problems_with(case)
    with pytest.raises(BadInputError, match="4 problems"):
        Relearning(repeats=1, learning_rate=0, ceiling=0, samples=0)
    assert repr(Relearning(seed=3)).endswith("seed=3)")
