"""The audit: a model's utility and forgetting, each as a difference from gold, or from what stands for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unscathed.audit.intervals import paired, unpaired
from unscathed.audit.membership import compare_membership
from unscathed.audit.verdict import Check, Verdict
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training import Trained


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What an audit lets pass, as differences from the reference; those of scores in units of `Task.score_range`.

    Args:
        utility: how much lower the score on test samples may be (0.02: two points of accuracy).
        class_utility: how much lower it may be for a single class.
        forgetting: how far the score on the forgotten may be from gold's, either way: a model that is too bad on
            them is as suspicious as one that is too good.
        membership: how much higher the membership AUC may be.
    """

    utility: float = 0.02
    class_utility: float = 0.05
    forgetting: float = 0.05
    membership: float = 0.05

    def of(self, task: Task) -> Tolerance:
        """The same in the units of a task's own scores."""
        unit = task.score_range
        return replace(
            self,
            utility=self.utility * unit,
            class_utility=self.class_utility * unit,
            forgetting=self.forgetting * unit,
        )


def audit(
    trained: Trained,
    *,
    forgotten: Samples,
    test: Samples | None = None,
    gold: Trained | None = None,
    same_procedure: Trained | None = None,
    original: Trained | None = None,
    unseen: Samples | None = None,
    tolerance: Tolerance | None = None,
) -> Verdict:
    """Is the model whole, and is the data gone?

    With gold, the model retrained without the forgotten, both questions are comparisons with it. Without, utility
    is compared with the original's, and the forgotten are compared with samples that the model has never seen.

    Args:
        trained: the model audited.
        forgotten: the samples that it should have forgotten.
        test: held-out samples for utility and (with gold) as unseen samples; None leaves utility unjudged.
        gold: the model retrained without them.
        same_procedure: what the model's own way of training gives without the forgotten, where that way differs from
            gold's: SISA's shards know less of hard samples than gold does, and that is no sign of anything. Forgetting
            is then compared with it.
        original: the model before unlearning: the control. Where the checks do not find *its* memory of the forgotten,
            no model passes them. Without gold it is also what utility is compared with.
        unseen: samples that the model was never trained on, of the same data (unspent spares); needed where there
            is no gold.
        tolerance: what passes.

    Raises:
        BadInputError: something that the comparison needs is missing; all of it is named.
    """
    tolerance = (tolerance if tolerance is not None else Tolerance()).of(trained.task)
    problems = Problems("cannot audit")
    problems.require(len(forgotten) > 0, "there are no forgotten samples")
    for name, model in (("gold", gold), ("same_procedure", same_procedure)):
        inside = set(model.ids) & set(forgotten.ids) if model is not None else set()
        problems.require(not inside, f"{name} was trained on {len(inside)} of the forgotten: it is not gold")
    if gold is None:
        problems.require(
            unseen is not None and len(unseen) > 0,
            "there is neither gold nor unseen samples to compare the forgotten with; give gold=…, or unseen=…",
        )
        problems.require(test is None or original is not None, "without gold, utility needs original=…")
    else:
        problems.require(
            test is not None or unseen is not None, "membership needs samples that were never seen; give test=…"
        )
    problems.raise_any()

    task = trained.task
    reference = gold or original
    utility: list[Check] = []
    if test is not None and len(test):
        assert reference is not None
        utility = _utility(task, test, trained, reference, tolerance)
    never = test if unseen is None else unseen
    assert never is not None
    peer = same_procedure or gold

    def forgetting(model: Trained) -> tuple[Check, ...]:
        if peer is not None:
            return _against_gold(task, forgotten, never, model, peer, tolerance)
        return _against_unseen(task, forgotten, never, model, tolerance)

    return Verdict(
        utility=tuple(utility),
        forgetting=forgetting(trained),
        utility_reference="the original" if gold is None else "gold",
        forgetting_reference=(
            "unseen samples" if gold is None else "gold" if same_procedure is None else "its own retraining"
        ),
        control=forgetting(original) if original is not None else (),
        note=""
        if gold is not None
        else f"There is no gold here: the verdict rests on {len(never)} samples that the model has never seen, "
        "and on the original's utility.",
    )


def _utility(task: Task, test: Samples, trained: Trained, reference: Trained, tolerance: Tolerance) -> list[Check]:
    ours, theirs = trained.evaluate(test).scores, reference.evaluate(test).scores
    percent = task.scores_are_shares
    checks = [Check("score on test samples", paired(ours, theirs), -tolerance.utility, None, percent)]
    labels = task.labels(test.targets)
    if labels is not None:
        classes = torch.unique(labels).tolist()
        for label in classes:
            own = labels == label
            name = test.classes[label] if test.classes else str(label)
            compared = paired(ours[own], theirs[own], comparisons=len(classes))
            checks.append(Check(f"class {name}", compared, -tolerance.class_utility, None, percent))
    return checks


def _against_gold(
    task: Task, forgotten: Samples, unseen: Samples, trained: Trained, gold: Trained, tolerance: Tolerance
) -> tuple[Check, ...]:
    ours, theirs = trained.evaluate(forgotten), gold.evaluate(forgotten)
    membership = compare_membership(
        ours.margins,
        trained.evaluate(unseen).margins,
        theirs.margins,
        gold.evaluate(unseen).margins,
        task.labels(forgotten.targets),
        task.labels(unseen.targets),
    )
    bound = tolerance.forgetting
    return (
        Check("score on the forgotten", paired(ours.scores, theirs.scores), -bound, bound, task.scores_are_shares),
        Check("membership AUC", membership, None, tolerance.membership),
    )


def _against_unseen(
    task: Task, forgotten: Samples, unseen: Samples, trained: Trained, tolerance: Tolerance
) -> tuple[Check, ...]:
    ours, theirs = trained.evaluate(forgotten), trained.evaluate(unseen)
    labels, unseen_labels = task.labels(forgotten.targets), task.labels(unseen.targets)
    scores = unpaired(ours.scores, theirs.scores, _class_weights(labels, unseen_labels))
    membership = compare_membership(ours.margins, theirs.margins, forgotten_labels=labels, unseen_labels=unseen_labels)
    # Forgotten samples may be harder than most, so a low score is no sign of anything here; a high one is.
    return (
        Check("score on the forgotten", scores, None, tolerance.forgetting, task.scores_are_shares),
        Check("membership AUC", membership, None, tolerance.membership),
    )


def _class_weights(labels: Tensor | None, unseen_labels: Tensor | None) -> Tensor | None:
    """Weights that give the classes of unseen samples the shares that they have among the forgotten."""
    if labels is None or unseen_labels is None:
        return None
    count = int(max(labels.max(), unseen_labels.max())) + 1
    ours, theirs = (torch.bincount(part, minlength=count).double() for part in (labels, unseen_labels))
    weights = (ours / theirs.clamp_min(1))[unseen_labels]
    return weights if float(weights.sum()) > 0 else None
