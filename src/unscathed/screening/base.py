"""Screen: tells how much a request looks like an attack."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from unscathed.samples import Samples
from unscathed.training import Trained

Score = Callable[[Sequence[str]], float]
"""How suspicious a request (ids of samples) is; higher is more, and requests of any size can be compared."""


class Screen(ABC):
    """Tells how much a request looks like an attack, by one thing about it."""

    name: str
    """What it looks at, in a few words: for reasons and tables."""

    @abstractmethod
    def fit(self, trained: Trained, samples: Samples) -> Score:
        """Look at a model and what it was trained on, so that requests can be scored in no time.

        Args:
            trained: the model as it now is.
            samples: what may be asked for.

        Raises:
            BadInputError: the screen needs what is not there.
        """


def standardised(values: Tensor, samples: Samples) -> Score:
    """Scores of requests by the mean of their samples' values, in standard errors above what random ones have.

    A random request of m of n samples has a mean value of variance ``σ² (n - m) / (m (n - 1))``.

    Args:
        values: of all samples, [n]; those that are not finite count as the highest that is.
        samples: whose they are.
    """
    values = values.detach().cpu().double()
    finite = values[torch.isfinite(values)]
    highest = float(finite.max()) if len(finite) else 0.0
    values = torch.nan_to_num(values, nan=highest, posinf=highest, neginf=float(finite.min()) if len(finite) else 0.0)
    mean, variance, count = float(values.mean()), float(values.var(correction=0)), len(values)

    def score(request: Sequence[str]) -> float:
        chosen = values[samples.positions(request)]
        size = len(chosen)
        error = math.sqrt(variance * max(count - size, 1) / (size * max(count - 1, 1)))
        return (float(chosen.mean()) - mean) / error if error > 0 else 0.0

    return score
