"""Whole holdings: requesters who leave with all that is theirs."""

from __future__ import annotations

from collections import defaultdict

from unscathed.adversaries.base import Adversary
from unscathed.adversaries.views import BlindView
from unscathed.problems import some


class WholeHoldings(Adversary[BlindView]):
    """Asks for all samples of one requester after the other, those with the most samples first.

    The last one is asked for in part where the budget ends within its holdings. Samples whose owner is not known are
    never asked for.

    Args:
        budget: see `Adversary`.
        requester: who comes first, whatever its holdings; by default the one with the most samples.
    """

    def __init__(self, budget: float | int = 0.05, *, requester: str | None = None) -> None:
        super().__init__(budget)
        self.requester = requester

    def __repr__(self) -> str:
        return f"WholeHoldings(budget={self.budget}, requester={self.requester!r})"

    def _lacks(self, view: BlindView) -> list[str]:
        if view.owners is None:
            return ["it needs to know whose the samples are; give the view owners={id: requester}"]
        held, lacking = _holdings(view), []
        known, count = sum(map(len, held.values())), self.count(len(view.samples))
        if known < count:
            lacking.append(f"budget={self.budget} is {count} samples, and only {known} have a known owner; lower it")
        if self.requester is not None and self.requester not in held:
            lacking.append(f"requester={self.requester!r} owns none of the samples; there are {some(held) or 'none'}")
        return lacking

    def _choose(self, view: BlindView, count: int) -> tuple[str, ...]:
        held = _holdings(view)
        order = sorted(held, key=lambda owner: (owner != self.requester, -len(held[owner]), owner))
        return tuple(i for owner in order for i in held[owner])[:count]


def _holdings(view: BlindView) -> dict[str, list[str]]:
    """The ids that each requester is known to own, in the samples' order."""
    held: defaultdict[str, list[str]] = defaultdict(list)
    for sample, owner in (view.owners or {}).items():
        if owner is not None:
            held[owner].append(sample)
    return dict(held)
