"""Confident learning: labels that a classifier, which did not see them, finds improbable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from unscathed.problems import Problems
from unscathed.reserve.screens.base import Screen, require_labels


@dataclass(frozen=True, kw_only=True)
class ConfidentLearning(Screen):
    """How much more probable than a spare's label another is, to a logistic regression fitted to other spares.

    Spares of classes with fewer than ``folds`` of them are not judged: their score is 0.

    Args:
        folds: parts that the spares are split into, for out-of-sample probabilities.
        penalty: the inverse of the regression's weight on the data (1/C, on standardised vectors): a light one lets it
            learn a planted group by heart.
        seed: which spares go to which part.

    Raises:
        BadInputError: cleanlab is not installed.

    Source: Northcutt et al. 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels"; cleanlab's label
    quality by normalised margin. Its adjustment to each class's mean confidence is left out: it excuses the very class
    into which wrong labels were moved.
    """

    folds: int = 5
    penalty: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        problems = Problems("cannot use ConfidentLearning")
        problems.require(find_spec("cleanlab") is not None, "cleanlab is missing; pip install 'unscathed[screens]'")
        problems.require(self.folds >= 2, f"folds={self.folds} must be at least 2")
        problems.require(self.penalty > 0, f"penalty={self.penalty} must be positive")
        problems.raise_any()

    def scores(
        self, vectors: Tensor, labels: Tensor | None = None, contributors: Sequence[str] | None = None
    ) -> Tensor:
        """One minus the label's quality, 0 to 1; see `Screen.scores`."""
        labels = require_labels("ConfidentLearning", labels)
        from cleanlab.rank import get_label_quality_scores

        classes, sizes = torch.unique(labels, return_counts=True)
        large = classes[sizes >= self.folds]
        judged = torch.isin(labels, large)
        scores = torch.zeros(len(labels))
        if len(large) < 2:
            return scores
        given = np.searchsorted(large.numpy(), labels[judged].numpy())
        probabilities = cross_val_predict(
            make_pipeline(StandardScaler(), LogisticRegression(C=1 / self.penalty, max_iter=1000)),
            vectors[judged].cpu().numpy(),
            given,
            cv=StratifiedKFold(self.folds, shuffle=True, random_state=self.seed % 2**32),
            method="predict_proba",
        )
        quality = get_label_quality_scores(given, probabilities, method="normalized_margin")
        scores[judged] = 1 - torch.from_numpy(np.asarray(quality)).float()
        return scores
