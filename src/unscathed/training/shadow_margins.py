"""Shadow margins: what shadow models make of some samples, inside and outside of their training data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unscathed.samples import Samples
from unscathed.training.shadows import Shadows


@dataclass(frozen=True)
class Side:
    """One measure of each sample over the models that were trained on it, or over those that were not.

    Args:
        count: how many such models each sample has, int64 [n].
        mean: over them, float64 [n]; NaN where there is none.
        squares: the sum of squared deviations from the mean, float64 [n].
    """

    count: Tensor
    mean: Tensor
    squares: Tensor

    @property
    def variance(self) -> Tensor:
        """Of each sample, unbiased, float64 [n]; NaN with fewer than two models."""
        return torch.where(self.count > 1, self.squares / (self.count - 1), torch.nan)

    @property
    def freedom(self) -> int:
        """The degrees of freedom that all samples' deviations have together."""
        return int((self.count - 1).clamp_min(0).sum())


@dataclass(frozen=True, eq=False, kw_only=True)
class ShadowMargins:
    """What shadow models make of some samples, and which of them were trained on each.

    Args:
        ids: of the samples, in order.
        margins: float64 [models, n] (`Task.margins`).
        losses: float64 [models, n] (`Task.losses`).
        scores: float64 [models, n] (`Task.scores`).
        inside: bool [models, n]: whether a model was trained on a sample.
    """

    ids: tuple[str, ...]
    margins: Tensor
    losses: Tensor
    scores: Tensor
    inside: Tensor

    @classmethod
    def of(cls, shadows: Shadows, samples: Samples) -> ShadowMargins:
        """Evaluate all shadow models; a sample that none of them was trained on is outside of all.

        Args:
            shadows: the models.
            samples: any of the same task, whether or not the shadow models could have been trained on them.
        """
        found = [model.evaluate(samples) for model in shadows.models]
        members = [set(model.ids) for model in shadows.models]
        return cls(
            ids=samples.ids,
            margins=torch.stack([f.margins for f in found]).double(),
            losses=torch.stack([f.losses for f in found]).double(),
            scores=torch.stack([f.scores for f in found]).double(),
            inside=torch.tensor([[i in ids for i in samples.ids] for ids in members]),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"ShadowMargins({len(self)} samples, {len(self.inside)} models)"

    @property
    def on_both_sides(self) -> Tensor:
        """Which samples some models were trained on and some were not, bool [n]."""
        return self.inside.any(dim=0) & ~self.inside.all(dim=0)

    def statistics(self, values: Tensor, *, inside: bool) -> Side:
        """The mean and the spread of a measure, sample by sample.

        Args:
            values: the measure, [models, n], e.g. `margins`.
            inside: over the models that were trained on a sample, or over those that were not.
        """
        counted = self.inside if inside else ~self.inside
        count = counted.sum(dim=0)
        values = values.double()
        mean = torch.where(counted, values, 0.0).sum(dim=0) / count
        squares = torch.where(counted, values - mean, 0.0).square().sum(dim=0)
        return Side(count, mean, squares)

    def memorisation(self, values: Tensor | None = None) -> Tensor:
        """How much better models do on each sample for having been trained on it, float64 [n].

        It is near 0 for what other samples teach as well, and near 1 (of scores that are right or wrong) for what is
        known by heart. With few models it is coarse: of 8, each sample has 4 a side, and a standard error of up to
        0.35. NaN for a sample that all models were trained on, or none.

        Args:
            values: of what, [models, n]; by default the scores.

        Source: Feldman and Zhang 2020, "What Neural Networks Memorize and Why", equation 1, estimated over random
        subsets as they do (theirs hold 70 % of the data, ours half).
        """
        values = self.scores if values is None else values
        return self.statistics(values, inside=True).mean - self.statistics(values, inside=False).mean


def most_memorised(margins: ShadowMargins) -> Tensor:
    """Values that rank samples by memorisation, float64 [n]: ties of scores go to the wider gap of margins.

    Scores that are right or wrong take few values over few models, so that most samples tie.
    """
    values = margins.memorisation()
    gaps = margins.memorisation(margins.margins)
    # Means of k and of l models differ by multiples of 1/(k l): less than that, ranks decide nothing but ties.
    models = len(margins.inside)
    places = gaps.argsort(stable=True).argsort(stable=True).double()
    return values + places / max(1, len(margins)) / max(1, models) ** 2
