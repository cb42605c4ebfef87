"""Utility: can the model still do what it is for?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unscathed.audit.calibration import compare_calibration, confidences
from unscathed.audit.case import Case
from unscathed.audit.check import Check
from unscathed.audit.intervals import paired, resampled
from unscathed.audit.measure import Measure
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Trained


@dataclass(frozen=True, kw_only=True)
class Utility(Measure):
    """Scores on test samples, of all and of each class, against gold's, or without gold the original's.

    Args:
        details: whether the worst class, the mean loss and the calibration error are told too. They are judged only
            where the tolerance bounds them.
        bins: of confidence, for the calibration error.
        resamples: for intervals of the worst class and the calibration error.
        seed: of the resamples.
    """

    details: bool = True
    bins: int = 15
    resamples: int = 200
    seed: int = 0

    asks = "utility"

    def __post_init__(self) -> None:
        problems = Problems("cannot measure utility")
        problems.require(self.bins >= 1, f"bins={self.bins} must be at least 1")
        problems.require(self.resamples >= 2, f"resamples={self.resamples} must be at least 2")
        problems.raise_any()

    def problems_with(self, case: Case) -> list[str]:
        """Test samples need a reference; without test samples, utility is left unjudged."""
        if case.test is None or case.whole is not None:
            return []
        return ["without gold, utility needs original=…"]

    def checks(self, model: Trained, case: Case) -> tuple[Check, ...]:
        """The score on test samples, each class's, and the details."""
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
        if self.details:
            checks += self._details(model, reference, test, case)
        return tuple(checks)

    def _details(self, model: Trained, reference: Trained, test: Samples, case: Case) -> list[Check]:
        ours, theirs = model.evaluate(test), reference.evaluate(test)
        labels, percent, tolerated = case.task.labels(test.targets), case.task.scores_are_shares, case.tolerated
        checks = []
        if labels is not None:
            _, positions, counts = torch.unique(labels, return_inverse=True, return_counts=True)
            few = int(counts.min())

            def worst(chosen: Tensor) -> tuple[float, float]:
                one, other = (_worst_class(of.scores[chosen], positions[chosen]) for of in (ours, theirs))
                return one, other

            # As in `paired`: answers that all agree, in a class of few samples, are no certainty.
            least = case.task.score_range / (few * (few + 1)) ** 0.5
            compared = resampled(worst, len(test), resamples=self.resamples, seed=self.seed, least_error=least)
            lowest = None if tolerated.worst_class is None else -tolerated.worst_class
            checks.append(Check("worst class", compared, lowest, None, percent))
        if not torch.equal(ours.scores, -ours.losses):  # else it is the score
            checks.append(Check("mean loss", paired(ours.losses, theirs.losses), None, tolerated.loss))
        sure, reference_sure = confidences(model, test), confidences(reference, test)
        if sure is not None and reference_sure is not None:
            calibration = compare_calibration(
                sure,
                ours.scores,
                reference_sure,
                theirs.scores,
                bins=self.bins,
                resamples=self.resamples,
                seed=self.seed,
            )
            checks.append(Check("calibration error", calibration, None, tolerated.calibration, True))
        return checks


def _worst_class(scores: Tensor, classes: Tensor) -> float:
    """The lowest mean score of a class that is there."""
    counts = torch.bincount(classes)
    means = torch.bincount(classes, weights=scores.double()) / counts
    return float(means[counts > 0].min())
