"""Score on the forgotten: is the model as good on them as one that never saw them?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unscathed.audit.case import Case
from unscathed.audit.check import Check
from unscathed.audit.intervals import paired, unpaired
from unscathed.audit.measure import Measure
from unscathed.training import Trained

NOTHING_TO_COMPARE_WITH = (
    "there is neither gold nor unseen samples to compare the forgotten with; give gold=…, or unseen=…"
)


@dataclass(frozen=True, kw_only=True)
class ScoreOnForgotten(Measure):
    """Scores on the forgotten against gold's, either way; without gold, against the model's own on unseen samples."""

    asks = "forgetting"

    def problems_with(self, case: Case) -> list[str]:
        """There must be gold, or samples never seen."""
        return [] if case.peer is not None or len(case.unseen) else [NOTHING_TO_COMPARE_WITH]

    def checks(self, model: Trained, case: Case) -> tuple[Check, ...]:
        """The score on the forgotten."""
        name, bound, percent = "score on the forgotten", case.tolerated.forgetting, case.task.scores_are_shares
        ours = model.evaluate(case.forgotten).scores
        if case.peer is not None:
            return (Check(name, paired(ours, case.peer.evaluate(case.forgotten).scores), -bound, bound, percent),)
        labels, unseen_labels = (case.task.labels(part.targets) for part in (case.forgotten, case.unseen))
        weights = _class_weights(labels, unseen_labels)
        # Forgotten samples may be harder than most, so a low score is no sign of anything here; a high one is.
        return (Check(name, unpaired(ours, model.evaluate(case.unseen).scores, weights), None, bound, percent),)


def _class_weights(labels: Tensor | None, unseen_labels: Tensor | None) -> Tensor | None:
    """Weights that give the classes of unseen samples the shares that they have among the forgotten."""
    if labels is None or unseen_labels is None:
        return None
    count = int(max(labels.max(), unseen_labels.max())) + 1
    ours, theirs = (torch.bincount(part, minlength=count).double() for part in (labels, unseen_labels))
    weights = (ours / theirs.clamp_min(1))[unseen_labels]
    return weights if float(weights.sum()) > 0 else None
