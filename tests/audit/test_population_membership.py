from dataclasses import replace

import pytest
import torch
from tests.support import blobs, tiny_task, trained_by_hand

from unscathed import Trained
from unscathed.audit import Case, PopulationMembership

FORGOTTEN, UNSEEN = blobs(300), blobs(600, seed=1)


def sure(more: float) -> Trained:
    """A model that is surer of the forgotten than of unseen samples."""
    model = trained_by_hand(tiny_task(), FORGOTTEN)
    for samples, gap in ((FORGOTTEN, more), (UNSEEN, 0.0)):
        margins = torch.randn(len(samples), generator=torch.Generator().manual_seed(len(samples))) + gap
        model._evaluations[samples] = replace(model.evaluate(samples), margins=margins)
    return model


@pytest.mark.parametrize(("more", "outcome"), [(0.0, "pass"), (1.0, "fail"), (-1.0, "fail")])
def test_who_is_surer_of_the_forgotten_than_gold_fails_and_who_is_less_sure_too(more: float, outcome: str) -> None:
    case = Case(task=tiny_task(), forgotten=FORGOTTEN, unseen=UNSEEN, peer=sure(0.0))
    (check,) = PopulationMembership().checks(sure(more), case)
    assert check.outcome == outcome
    assert check.exceeds == (more > 0)


def test_without_gold_chance_is_what_it_is_compared_with_and_a_hard_sample_is_no_sign() -> None:
    case = Case(task=tiny_task(), forgotten=FORGOTTEN, unseen=UNSEEN)
    (check,) = PopulationMembership().checks(sure(-1.0), case)
    assert (check.outcome, check.of.reference) == ("pass", 0.5)
    assert PopulationMembership().checks(sure(1.0), case)[0].outcome == "fail"


def test_it_is_weak_and_needs_unseen_samples() -> None:
    assert PopulationMembership.weak
    case = Case(task=tiny_task(), forgotten=FORGOTTEN, unseen=UNSEEN.only([]))
    assert "neither gold nor unseen" in PopulationMembership().problems_with(case)[0]
    assert "give test=" in PopulationMembership().problems_with(replace(case, peer=sure(0.0)))[0]
