"""Membership: can the forgotten still be told from samples that were never seen?"""

from __future__ import annotations

import torch
from scipy import stats
from torch import Tensor

from unscathed.audit.intervals import Difference
from unscathed.problems import BadInputError


def membership_auc(
    forgotten: Tensor,
    unseen: Tensor,
    forgotten_labels: Tensor | None = None,
    unseen_labels: Tensor | None = None,
) -> float:
    """How well margins tell forgotten samples from unseen ones: the area under the ROC curve, 0.5 at chance.

    Forgotten samples are compared with unseen ones of their own class, or a forget set of one hard class would
    look like non-membership. This is a population attack: cheap, and weaker than attacks with shadow models.

    Args:
        forgotten: margins of the forgotten samples, [n].
        unseen: margins of samples that no model was trained on, [m].
        forgotten_labels: their classes, int64 [n]; None where there are none.
        unseen_labels: the others' classes, int64 [m].

    Source: Yeom et al. 2018, "Privacy Risk in Machine Learning", with the margin of Carlini et al. 2022.
    """
    parts = _strata(forgotten, unseen, forgotten_labels, unseen_labels)
    return sum(share * float(_placements(forgotten[f], unseen[u])[0].mean()) for share, f, u in parts)


def compare_membership(
    forgotten: Tensor,
    unseen: Tensor,
    reference_forgotten: Tensor | None = None,
    reference_unseen: Tensor | None = None,
    forgotten_labels: Tensor | None = None,
    unseen_labels: Tensor | None = None,
) -> Difference:
    """A model's membership AUC against a reference model's on the same samples, or against chance without one.

    Args:
        forgotten: the model's margins of the forgotten samples, [n].
        unseen: its margins of unseen samples, [m].
        reference_forgotten: the reference's margins of the same, [n]; None compares with 0.5.
        reference_unseen: the reference's margins of the same, [m].
        forgotten_labels: see `membership_auc`.
        unseen_labels: see `membership_auc`.

    Source: DeLong, DeLong and Clarke-Pearson 1988, for the interval of correlated areas.
    """
    value = reference = variance = 0.0
    for share, f, u in _strata(forgotten, unseen, forgotten_labels, unseen_labels):
        over, under = _placements(forgotten[f], unseen[u])
        value += share * float(over.mean())
        if reference_forgotten is not None and reference_unseen is not None:
            their_over, their_under = _placements(reference_forgotten[f], reference_unseen[u])
            reference += share * float(their_over.mean())
            over, under = over - their_over, under - their_under
        else:
            reference += share * 0.5
        variance += share**2 * (_variance_of_mean(over) + _variance_of_mean(under))
    error = variance**0.5
    reach = float(stats.norm.ppf(0.975)) * error
    return Difference(value, reference, value - reference - reach, value - reference + reach, error)


def _placements(forgotten: Tensor, unseen: Tensor) -> tuple[Tensor, Tensor]:
    """For each forgotten sample the share of unseen ones that it exceeds, and the other way round (ties half)."""

    def exceeded(ones: Tensor, others: Tensor) -> Tensor:
        ordered = others.sort().values
        below = torch.searchsorted(ordered, ones, right=False)
        upto = torch.searchsorted(ordered, ones, right=True)
        return (below + upto).double() / (2 * len(others))

    forgotten, unseen = forgotten.contiguous(), unseen.contiguous()
    return exceeded(forgotten, unseen), 1 - exceeded(unseen, forgotten)


def _variance_of_mean(parts: Tensor) -> float:
    # One sample has no variance of its own: take the largest that a value in 0…1 can have.
    return 0.25 if len(parts) < 2 else float(parts.var(unbiased=True)) / len(parts)


def _strata(
    forgotten: Tensor, unseen: Tensor, forgotten_labels: Tensor | None, unseen_labels: Tensor | None
) -> list[tuple[float, Tensor, Tensor]]:
    """Share, positions of the forgotten and of the unseen, class by class where both have some."""
    if forgotten_labels is None or unseen_labels is None:
        return [(1.0, torch.arange(len(forgotten)), torch.arange(len(unseen)))]
    parts = []
    for label in torch.unique(forgotten_labels).tolist():
        ours = (forgotten_labels == label).nonzero().flatten()
        theirs = (unseen_labels == label).nonzero().flatten()
        if len(theirs):
            parts.append((len(ours), ours, theirs))
    total = sum(count for count, _, _ in parts)
    if not total:
        raise BadInputError("cannot audit membership", ["no unseen sample is of a forgotten sample's class"])
    return [(count / total, ours, theirs) for count, ours, theirs in parts]
