"""Noise: how large a difference in test accuracy chance alone can make, where one seed is all there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unscathed.lab.report.cases import Model
from unscathed.lab.results import Results


def error_of_difference(results: Results, models: Iterable[Model]) -> float | None:
    """The binomial standard error of a difference of two test accuracies, in points; None where n is not known.

    It is what two independent tests would have. Models tested on the same samples agree on most of them, so their
    difference has a smaller error; training with another seed adds to it, and one seed cannot tell how much.

    Args:
        results: whose environment tells how many test samples there are.
        models: whose mean accuracy is taken for the share.
    """
    count = results.environment.get("test_samples")
    accuracies = [model.test_accuracy / 100 for model in models]
    if not isinstance(count, int) or count <= 0 or not accuracies or not results.shares:
        return None
    share = sum(accuracies) / len(accuracies)
    return float(100 * (2 * share * (1 - share) / count) ** 0.5)


def beyond(differences: Sequence[float], error: float) -> int:
    """How many differences are larger than two standard errors."""
    return sum(abs(difference) > 2 * error for difference in differences)
