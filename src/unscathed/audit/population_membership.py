"""Membership by population: a cheap first look at whether the forgotten can be told from samples never seen."""

from __future__ import annotations

from dataclasses import dataclass

from unscathed.audit.case import Case
from unscathed.audit.check import Check
from unscathed.audit.measure import Measure
from unscathed.audit.membership import compare_membership
from unscathed.audit.score_on_forgotten import NOTHING_TO_COMPARE_WITH
from unscathed.training import Trained


@dataclass(frozen=True, kw_only=True)
class PopulationMembership(Measure):
    """The membership AUC of margins (`membership_auc`) against gold's, either way; without gold, against chance.

    It compares samples with one another, and so misses what only a sample's own shadow models tell.
    """

    asks = "forgetting"
    weak = True

    def problems_with(self, case: Case) -> list[str]:
        """There must be samples never seen."""
        if len(case.unseen):
            return []
        if case.peer is None:
            return [NOTHING_TO_COMPARE_WITH]
        return ["membership needs samples that were never seen; give test=…"]

    def checks(self, model: Trained, case: Case) -> tuple[Check, ...]:
        """The membership AUC."""
        peer, bound = case.peer, case.tolerated.membership
        compared = compare_membership(
            model.evaluate(case.forgotten).margins,
            model.evaluate(case.unseen).margins,
            None if peer is None else peer.evaluate(case.forgotten).margins,
            None if peer is None else peer.evaluate(case.unseen).margins,
            case.task.labels(case.forgotten.targets),
            case.task.labels(case.unseen.targets),
        )
        # Without gold, hard samples look like non-members, and that is no sign of anything.
        return (Check("membership AUC", compared, None if peer is None else -bound, bound),)
