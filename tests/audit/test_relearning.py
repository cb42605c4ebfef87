import math
from dataclasses import replace

import pytest
import torch
from tests.audit.test_descent import RATE, orthonormal
from tests.support import NoOp

from unscathed import BadInputError, GradientAscent, Healer, Samples, Tolerance, Trained
from unscathed.audit import Case, Check, Relearning, ScoreOnForgotten
from unscathed.audit.descent import Descent
from unscathed.audit.relearning import head_start

Parts = tuple[Samples, Samples, Samples]


def check_of(measure: Relearning, model: Trained, case: Case) -> Check:
    (check,) = measure.checks(model, case)
    return check


# In closed form: a quadratic, on which every step takes the same share off every residual.


def wrong_by(residual: float) -> Trained:
    return orthonormal(residual, 8)[0]


def quadratic(**changes: object) -> Case:
    (original, samples), gold = orthonormal(0.1, 8), wrong_by(1.0)
    return replace(
        Case(task=original.task, forgotten=samples, unseen=samples, original=original, gold=gold, peer=gold), **changes
    )


@pytest.mark.parametrize("residual", [0.1, 0.2, 1.0, 2.0])
def test_the_head_start_is_the_share_of_golds_steps_that_is_saved(residual: float) -> None:
    model = wrong_by(residual)
    found = check_of(Relearning(learning_rate=1.0), model, quadratic()).of
    per_step = math.log(1 - RATE / 4)
    expected = 1 - math.log(0.1 / residual) / math.log(0.1 / 1.0)
    assert found.value == pytest.approx(expected, abs=0.01)  # between steps, the loss is taken for a straight line
    assert found.low == pytest.approx(found.high), "all samples are alike, so that halves are"
    assert math.log(0.1) / per_step == pytest.approx(21.85, abs=0.01)


def test_who_relearns_sooner_than_gold_fails_and_who_does_so_later_as_well() -> None:
    case, measure = quadratic(), Relearning(learning_rate=1.0)
    outcomes = {r: check_of(measure, wrong_by(r), case) for r in (0.1, 0.2, 0.8, 1.0, 40.0)}
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
    assert check_of(measure, wrong_by(0.2), replace(case, tolerance=Tolerance(relearning=0.9))).outcome == "pass"


def test_a_ceiling_bounds_what_is_known() -> None:
    case = quadratic()
    gold_stopped = check_of(Relearning(learning_rate=1.0, ceiling=20), wrong_by(0.2), case)
    assert (gold_stopped.of.high, gold_stopped.outcome) == (1.0, "fail"), "sooner than a gold that takes even longer"
    assert "more than 20" in gold_stopped.remark
    both = check_of(Relearning(learning_rate=1.0, ceiling=5), wrong_by(0.9), case)
    assert (both.of.low, both.of.high, both.outcome) == (-math.inf, 1.0, "not enough evidence")
    late = check_of(Relearning(learning_rate=1.0, ceiling=30), wrong_by(4.0), case)
    assert late.of.low == -math.inf
    assert late.outcome == "not enough evidence"


def test_where_gold_knows_them_as_well_there_is_nothing_to_relearn() -> None:
    case = quadratic(peer=wrong_by(0.05))
    assert case.original is not None
    found = check_of(Relearning(learning_rate=1.0), case.original, case)
    assert (found.outcome, found.exceeds) == ("not enough evidence", False)


# The interval.


ANY = wrong_by(1.0)


def runs(steps: torch.Tensor) -> list[Descent]:
    return [Descent((), True, float(s), ANY) for s in steps]


@pytest.mark.parametrize("golds", [1, 6])
def test_intervals_cover_the_truth_as_often_as_they_say(golds: int) -> None:
    """A model that takes half of gold's steps for samples that differ: in hardness for both, and for each by itself."""
    generator = torch.Generator().manual_seed(golds)
    draws, held = 500, 0
    for _ in range(draws):
        hardness = 100 + 40 * torch.randn(60, generator=generator)
        halves = [torch.randperm(60, generator=generator)[:30] for _ in range(5)]

        def descents(
            share: float, spread: float, hardness: torch.Tensor = hardness, halves: list[torch.Tensor] = halves
        ) -> list[Descent]:
            own = share * hardness + 20 * torch.randn(60, generator=generator)
            whole = spread * float(torch.randn((), generator=generator))
            return runs(torch.stack([own[half].mean() + whole for half in halves]))

        found = head_start(descents(0.5, 0.0), [descents(1.0, 0.0 if golds == 1 else 15.0) for _ in range(golds)])
        held += found.low <= 0.5 <= found.high
    assert 0.92 < held / draws < 0.99


def test_halves_that_are_harder_for_both_are_no_error() -> None:
    gold = torch.tensor([20.0, 80.0, 140.0])
    found = head_start(runs(gold / 2), [runs(gold)])
    assert (found.low, found.high) == (pytest.approx(0.5), pytest.approx(0.5))


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
    measure, retain = Relearning(), digits[0].without(hard)
    assert case.gold is not None
    assert check_of(measure, Healer(strategy="retain").heal(case.gold, retain=retain), case).outcome == "pass"
    # No better than gold on the forgotten, and there again in a fraction of the steps.
    hiding = GradientAscent().unlearn(original, digits[0], hard)
    (score,) = ScoreOnForgotten().checks(hiding, case)
    assert score.of.difference < 0
    assert score.outcome != "fail"
    assert check_of(measure, hiding, case).exceeds
    # The original, and what was healed in its place.
    assert check_of(measure, original, case).of.value == pytest.approx(1.0, abs=0.01)
    healed = Healer(strategy="retain").heal(NoOp().unlearn(original, digits[0], hard), retain=retain)
    assert check_of(measure, healed, case).exceeds


def test_few_of_many_forgotten_are_relearned_the_same_for_all(case: Case, original: Trained) -> None:
    measure = Relearning(samples=17, halves=3, ceiling=40)
    check_of(measure, original, case)
    halves: list[Samples] = case.once((measure, "halves"), lambda: pytest.fail("they were drawn"))
    assert [len(half) for half in halves] == [9, 9, 9]
    assert len({i for half in halves for i in half.ids}) <= 17
    assert set(halves[0].ids) != set(halves[1].ids)


def test_one_forgotten_sample_is_no_evidence(case: Case, original: Trained) -> None:
    one = replace(case, forgotten=case.forgotten.at(torch.tensor([0])))
    check = check_of(Relearning(halves=2, ceiling=40), original, one)
    assert (check.of.value, check.outcome) == (1.0, "not enough evidence")


def test_what_is_missing_is_said(case: Case, original: Trained) -> None:
    problems = Relearning(golds=(original,)).problems_with(replace(case, original=None, peer=None))
    assert len(problems) == 3
    assert not Relearning().problems_with(case)
    with pytest.raises(BadInputError, match="4 problems"):
        Relearning(halves=1, learning_rate=0, ceiling=0, samples=0)
    assert repr(Relearning(seed=3)).endswith("seed=3)")
