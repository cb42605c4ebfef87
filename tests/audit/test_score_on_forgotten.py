from dataclasses import replace

import pytest
import torch
from tests.support import blobs, tiny_task, trained_by_hand

from unscathed import Samples, Trained
from unscathed.audit import Case, ScoreOnForgotten
from unscathed.audit.score_on_forgotten import NOTHING_TO_COMPARE_WITH

FORGOTTEN, UNSEEN = blobs(90), blobs(300, seed=1)


def sayer(right: float) -> Trained:
    """A model that is right about a share of the forgotten, and about all else."""
    task = tiny_task()
    model = trained_by_hand(task, FORGOTTEN)
    count = round(right * len(FORGOTTEN))
    scores = {FORGOTTEN: (torch.arange(len(FORGOTTEN)) % len(FORGOTTEN) < count).float(), UNSEEN: torch.ones(300)}
    for samples, values in scores.items():
        found = model.evaluate(samples)
        model._evaluations[samples] = replace(found, scores=values)
    return model


@pytest.mark.parametrize(
    ("right", "outcome"), [(0.5, "fail"), (0.7, "pass"), (0.9, "fail"), (0.75, "not enough evidence")]
)
def test_against_gold_too_bad_is_as_suspicious_as_too_good(right: float, outcome: str) -> None:
    case = Case(task=tiny_task(), forgotten=FORGOTTEN, unseen=UNSEEN, peer=sayer(0.7))
    (check,) = ScoreOnForgotten().checks(sayer(right), case)
    assert check.outcome == outcome
    assert check.exceeds == (right == 0.9)


def test_without_gold_hard_samples_are_no_sign_and_classes_are_weighed() -> None:
    case = Case(task=tiny_task(), forgotten=FORGOTTEN, unseen=UNSEEN)
    (check,) = ScoreOnForgotten().checks(sayer(0.2), case)
    assert (check.outcome, check.lowest) == ("pass", None)
    # Forgotten of one class are compared with unseen ones of that class.
    one_class = FORGOTTEN.at((FORGOTTEN.targets == 0).nonzero().flatten())
    model = sayer(1.0)
    blind = (UNSEEN.targets == 0).float()
    model._evaluations[UNSEEN] = replace(model.evaluate(UNSEEN), scores=blind)
    model._evaluations[one_class] = replace(model.evaluate(one_class), scores=torch.ones(len(one_class)))
    (check,) = ScoreOnForgotten().checks(model, replace(case, forgotten=one_class))
    assert check.of.reference == pytest.approx(1.0)


def test_something_must_be_there_to_compare_with() -> None:
    none: Samples = UNSEEN.only([])
    case = Case(task=tiny_task(), forgotten=FORGOTTEN, unseen=none)
    assert ScoreOnForgotten().problems_with(case) == [NOTHING_TO_COMPARE_WITH]
    assert not ScoreOnForgotten().problems_with(replace(case, peer=sayer(0.7)))
    assert not ScoreOnForgotten().problems_with(replace(case, unseen=UNSEEN))
