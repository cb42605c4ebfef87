"""Screen: tells how suspicious each spare is."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from unscathed.problems import Problems


class Screen(Protocol):
    """Tells how suspicious each spare is, from what all of them look like together."""

    @abstractmethod
    def scores(
        self, vectors: Tensor, labels: Tensor | None = None, contributors: Sequence[str] | None = None
    ) -> Tensor:
        """How suspicious each spare is, float32 [n], higher is more.

        Args:
            vectors: where spares are compared, float32 [n, d].
            labels: their classes, int64 [n]; None where there are none.
            contributors: who contributed each of them; None where that is not known.

        Raises:
            BadInputError: the screen needs what was not given.
        """

    def flag(self, scores: Tensor, *, lose: float | None = None, threshold: float | None = None) -> Tensor:
        """Which spares to set aside, bool [n].

        Args:
            scores: what `scores` gave.
            lose: the share of all spares that one is ready to lose: no more are flagged, and of these none that is not
                more suspicious than half of all are.
            threshold: flags what scores higher; give this or ``lose``.
        """
        problems = Problems("cannot flag spares")
        problems.require((lose is None) != (threshold is None), "give one of lose and threshold")
        problems.require(lose is None or 0 <= lose <= 1, f"lose={lose} must be a share, 0 to 1")
        problems.raise_any()
        if threshold is not None:
            return scores > threshold
        assert lose is not None
        # The margin is for shares that binary numbers miss: 0.07 of 100 are seven.
        count = math.floor(lose * len(scores) + 1e-9)
        flagged = torch.zeros(len(scores), dtype=torch.bool)
        flagged[scores.argsort(descending=True, stable=True)[:count]] = True
        return flagged & (scores > scores.median()) if len(scores) else flagged


def require_labels(what: str, labels: Tensor | None) -> Tensor:
    """The labels; raises `BadInputError` where there are none."""
    problems = Problems(f"cannot screen with {what}")
    problems.require(labels is not None, "it needs classes, and this task has none; leave this screen out")
    problems.raise_any()
    assert labels is not None
    return labels.cpu()


def by_class(labels: Tensor | None, count: int) -> list[Tensor]:
    """Positions of each class's samples, each int64 [m]; all in one where there are no classes."""
    if labels is None:
        return [torch.arange(count)]
    labels = labels.cpu()
    return [(labels == c).nonzero().flatten() for c in torch.unique(labels)]
