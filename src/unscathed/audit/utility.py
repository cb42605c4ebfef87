"""Utility: can the model still do what it is for?"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from unscathed.audit.case import Case
from unscathed.audit.check import Check
from unscathed.audit.intervals import paired
from unscathed.audit.measure import Measure
from unscathed.training import Trained


@dataclass(frozen=True, kw_only=True)
class Utility(Measure):
    """Scores on test samples, of all and of each class, against gold's, or without gold the original's."""

    asks = "utility"

    def problems_with(self, case: Case) -> list[str]:
        """Test samples need a reference; without test samples, utility is left unjudged."""
        if case.test is None or case.whole is not None:
            return []
        return ["without gold, utility needs original=…"]

    def checks(self, model: Trained, case: Case) -> tuple[Check, ...]:
        """The score on test samples, and each class's."""
        test, reference = case.test, case.whole
        if test is None or not len(test):
            return ()
        assert reference is not None
        percent = case.task.scores_are_shares
        ours, theirs = model.evaluate(test).scores, reference.evaluate(test).scores
        checks = [Check("score on test samples", paired(ours, theirs), -case.tolerated.utility, None, percent)]
        labels = case.task.labels(test.targets)
        if labels is not None:
            classes = torch.unique(labels).tolist()
            for label in classes:
                own = labels == label
                name = test.classes[label] if test.classes else str(label)
                compared = paired(ours[own], theirs[own], comparisons=len(classes))
                checks.append(Check(f"class {name}", compared, -case.tolerated.class_utility, None, percent))
        return tuple(checks)
