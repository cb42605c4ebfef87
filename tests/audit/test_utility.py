from dataclasses import replace

import pytest
import torch
from tests.support import Ridge, blobs, tiny_task, trained_by_hand

from unscathed import BadInputError, Samples, Tolerance, Trained
from unscathed.audit import Case, Utility

Parts = tuple[Samples, Samples, Samples]


@pytest.fixture
def case(gold: Trained, digits: Parts, hard: tuple[str, ...]) -> Case:
    return Case(task=gold.task, forgotten=digits[0].only(hard), unseen=digits[1], test=digits[2], gold=gold)


def test_details_are_told_and_by_default_not_judged(original: Trained, case: Case) -> None:
    checks = {check.name: check for check in Utility().checks(original, case)}
    assert next(iter(checks)) == "score on test samples"
    assert list(checks)[-3:] == ["worst class", "mean loss", "calibration error"]
    assert all(checks[name].lowest is checks[name].highest is None for name in list(checks)[-3:])
    assert case.test is not None
    assert case.gold is not None
    labels = case.test.targets
    for which in ("value", "reference"):
        model = original if which == "value" else case.gold
        scores = model.evaluate(case.test).scores
        by_class = [float(scores[labels == c].mean()) for c in range(10)]
        assert getattr(checks["worst class"].of, which) == pytest.approx(min(by_class))
        losses = model.evaluate(case.test).losses
        assert getattr(checks["mean loss"].of, which) == pytest.approx(float(losses.mean()))
    assert [c.name for c in Utility(details=False).checks(original, case)] == list(checks)[:-3]


def test_where_tolerance_bounds_them_details_are_judged(case: Case) -> None:
    """A model that answers as gold does, and is far surer, loses on loss and calibration alone."""
    gold = case.gold
    assert gold is not None
    last = [name for name in gold.weights if name.endswith(("weight", "bias"))][-2:]
    sure = replace(gold, weights={**gold.weights, **{n: 10 * gold.weights[n] for n in last}})
    strict = replace(case, tolerance=Tolerance(loss=0.02, calibration=0.001, worst_class=0.5))
    found = {check.name: check.outcome for check in Utility().checks(sure, strict)}
    assert found["score on test samples"] == "pass"
    assert found["worst class"] == "pass"
    assert found["mean loss"] == "fail"
    assert found["calibration error"] == "fail"
    lenient = replace(case, tolerance=Tolerance(loss=2.0, calibration=0.2, worst_class=0.3))
    assert {check.outcome for check in Utility().checks(gold, lenient)[-3:]} == {"pass"}


def test_a_worst_class_of_few_samples_is_no_certainty() -> None:
    samples, test = blobs(60), blobs(12, seed=1)
    model = trained_by_hand(tiny_task(), samples)
    case = Case(task=model.task, forgotten=samples, unseen=test, test=test, gold=model)
    worst = next(check for check in Utility().checks(model, case) if check.name == "worst class")
    assert worst.of.high - worst.of.low > 0.5


def test_a_task_without_classes_has_its_score_and_nothing_twice() -> None:
    inputs = torch.randn(40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    samples = Samples(inputs, inputs.sum(1), range(40))
    model = trained_by_hand(Ridge(3), samples)
    case = Case(task=model.task, forgotten=samples, unseen=samples, test=samples, gold=model)
    assert [check.name for check in Utility().checks(model, case)] == ["score on test samples"]


def test_what_is_missing_is_said(case: Case) -> None:
    assert Utility().problems_with(replace(case, gold=None)) == ["without gold, utility needs original=…"]
    assert not Utility().problems_with(replace(case, gold=None, test=None))
    with pytest.raises(BadInputError, match="2 problems"):
        Utility(bins=0, resamples=1)
