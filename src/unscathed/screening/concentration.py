"""Concentration: a request is suspicious if what it names lies together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from unscathed.problems import BadInputError
from unscathed.samples import Samples
from unscathed.screening.base import Score, Screen
from unscathed.training import Trained


class ClassConcentration(Screen):
    """Requests whose classes are not those of all samples, by the likelihood ratio of a multinomial.

    ``G = 2 Σ_c m_c ln(m_c / (m p_c))`` is about χ² with one degree of freedom less than classes; it is told in standard
    deviations, by Wilson and Hilferty's cube root.

    Raises:
        BadInputError: when it is fitted, the task has no classes.
    """

    name = "classes"

    def __repr__(self) -> str:
        return "ClassConcentration()"

    def fit(self, trained: Trained, samples: Samples) -> Score:
        """See `Screen.fit`."""
        labels = trained.task.labels(samples.targets)
        if labels is None:
            raise BadInputError(
                "cannot screen requests", ["ClassConcentration needs classes, and this task has none; leave it out"]
            )
        labels = labels.cpu()
        kinds, shares = torch.unique(labels, return_counts=True)
        shares = shares.double() / len(labels)
        freedom = len(kinds) - 1

        def score(request: Sequence[str]) -> float:
            asked = labels[samples.positions(request)]
            counts = (asked[:, None] == kinds).sum(dim=0).double()
            ratio = float(2 * torch.xlogy(counts, counts / (len(asked) * shares)).sum())
            if freedom == 0:
                return 0.0
            spread = 2 / (9 * freedom)
            return float(((max(ratio, 0.0) / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread))

        return score


class RegionConcentration(Screen):
    """Requests whose samples point the same way in the model's features, once their classes' means are taken out.

    Of m random unit vectors v, ``‖Σ v‖² / m`` has mean 1 and variance ``2 Σ λ²``, for large m, λ being the eigenvalues
    of their second moment; the score is in standard deviations above that.
    """

    name = "region"

    def __repr__(self) -> str:
        return "RegionConcentration()"

    def fit(self, trained: Trained, samples: Samples) -> Score:
        """See `Screen.fit`."""
        features = trained.features(samples).cpu().double().flatten(1)
        labels = trained.task.labels(samples.targets)
        groups = torch.zeros(len(features), dtype=torch.long) if labels is None else labels.cpu()
        kinds, place = torch.unique(groups, return_inverse=True)
        means = torch.zeros(len(kinds), features.shape[1], dtype=torch.double).index_reduce_(
            0, place, features, "mean", include_self=False
        )
        directions = functional.normalize(features - means[place], dim=1)
        directions = functional.normalize(directions - directions.mean(dim=0), dim=1)
        moment = directions.T @ directions / len(directions)
        spread = math.sqrt(2 * float(moment.square().sum()))

        def score(request: Sequence[str]) -> float:
            asked = directions[samples.positions(request)]
            return (float(asked.sum(dim=0).square().sum()) / len(asked) - 1) / spread

        return score
