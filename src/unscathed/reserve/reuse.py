"""Reuse: spent spares, once more, where no others are left."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

from torch import Tensor

from unscathed.reserve.stock import Gone
from unscathed.samples import Samples


def spent_again(
    missing: Sequence[str], spares: Samples, gone: Mapping[str, Gone], labels: Tensor | None, of_spares: Tensor | None
) -> dict[str, str]:
    """Spent spares for samples that got no other, each once, of their class.

    Those come first that are farthest from what they stand in for: they say least of what was forgotten before.

    Args:
        missing: ids of samples without a twin.
        spares: all spares.
        gone: what became of them.
        labels: the classes of the missing, int64 [m]; None where classes do not count.
        of_spares: those of all spares.

    Returns:
        A spare's id for each sample that there is one for.
    """
    spent = {i: entry.distance or 0.0 for i, entry in gone.items() if entry.fate == "spent"}
    left = sorted(spent, key=lambda i: -spent[i])
    if labels is None or of_spares is None:
        return dict(zip(missing, left, strict=False))
    by_class: defaultdict[int, deque[str]] = defaultdict(deque)
    for i, place in zip(left, spares.positions(left).tolist(), strict=True):
        by_class[int(of_spares[place])].append(i)
    found = {}
    for i, label in zip(missing, labels.tolist(), strict=True):
        if by_class[label]:
            found[i] = by_class[label].popleft()
    return found
