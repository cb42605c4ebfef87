"""Triage: a request is assessed by several screens, with a rate of false alarms that is chosen."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.screening.base import Score, Screen
from unscathed.training import Trained
from unscathed.training.seeds import generator

Road = Literal["ordinary", "safer"]
"""How a request is honoured. It is never refused for what it would do to the model."""
Ranks = tuple[float, ...]
"""How rare each screen finds a request, the rarest first."""


@dataclass(frozen=True)
class Assessment:
    """What screens make of a request.

    Args:
        road: the ordinary one, or a safer one (an exact unlearner, more healing, a person who looks at it).
        rarity: the share of benign requests of like size that are as suspicious, all screens taken together; at most
            the rate of false alarms where the road is the safer one.
        scores: by screen, see `Screen`.
        rarities: by screen, the share of benign requests that it finds as suspicious.
        reasons: in words, for the record; empty on the ordinary road.
    """

    road: Road
    rarity: float
    scores: Mapping[str, float]
    rarities: Mapping[str, float]
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        if self.road == "ordinary":
            return f"ordinary: {self.rarity:.1%} of benign requests look as suspicious"
        return f"safer road: {'; '.join(self.reasons)}"


class Triage:
    """Assesses requests by screens that are calibrated on benign ones.

    Benign requests are parted in two. On the first half each screen learns how rare its scores are; a request is as
    suspicious as its rarest score says (of several that are equally rare, as its other scores say); and on the second
    half the threshold is set by rank, among requests of like size, since what is usual of one sample is not of fifty.
    So of benign requests like these, of any size, no more than the chosen share raises an alarm, however many screens
    there are and whatever their scores' distributions (split conformal prediction, by categories: Vovk et al. 2005,
    "Algorithmic Learning in a Random World", section 4.5).

    Args:
        screens: what is looked at.
        false_alarms: the share of benign requests that may be sent the safer road.
        sizes: of the benign requests that are drawn where none are given: samples that a request names.
        draws: how many are drawn.
        seed: of the draw.

    Raises:
        BadInputError: a setting that cannot be.
    """

    def __init__(
        self,
        screens: Sequence[Screen],
        *,
        false_alarms: float = 0.05,
        sizes: Sequence[int] = (1, 2, 5, 10, 20, 50),
        draws: int = 2400,
        seed: int = 0,
    ) -> None:
        problems = Problems("cannot triage requests")
        problems.require(len(screens) > 0, "there are no screens")
        strange = [repr(s) for s in screens if not isinstance(s, Screen)]
        problems.require(
            not strange, f"{', '.join(strange)} is no screen; wrap an adversary, e.g. Wanted(OutputAware())"
        )
        names = [s.name for s in screens if isinstance(s, Screen)]
        problems.require(len(set(names)) == len(names), f"screens look at the same thing twice ({', '.join(names)})")
        problems.require(0 < false_alarms < 1, f"false_alarms={false_alarms} must be a share, between 0 and 1")
        problems.require(
            len(sizes) > 0 and all(s >= 1 for s in sizes), f"sizes={tuple(sizes)} must be numbers of samples"
        )
        if 0 < false_alarms < 1:
            least = _least(len(screens), false_alarms)
            problems.require(
                draws >= least, f"draws={draws} are too few for so many screens and false alarms; take {least}"
            )
        problems.raise_any()
        self.screens = tuple(screens)
        self.false_alarms = false_alarms
        self.sizes = tuple(sizes)
        self.draws = draws
        self.seed = seed

    def __repr__(self) -> str:
        return f"Triage({list(self.screens)!r}, false_alarms={self.false_alarms})"

    def fit(self, trained: Trained, samples: Samples, benign: Sequence[Sequence[str]] | None = None) -> Assessor:
        """Calibrate on a model and on benign requests.

        Args:
            trained: the model as it now is.
            samples: what may be asked for.
            benign: requests of people who mean no harm, ids of ``samples`` (earlier ones, say); by default random ones
                are drawn. Where people own several samples that are alike, give theirs, or they raise alarms.

        Raises:
            BadInputError: there are too few benign requests, they name what is not there, or a screen lacks something.
        """
        problems = Problems("cannot triage requests")
        problems.require(len(samples) > 0, "there are no samples that could be asked for")
        problems.raise_any()
        requests = self._drawn(samples) if benign is None else [list(r) for r in benign]
        least = _least(len(self.screens), self.false_alarms)
        problems.require(
            len(requests) >= least,
            f"{len(requests)} benign requests are too few for a rate of false alarms of {self.false_alarms:g}; it "
            f"takes {least}",
        )
        known = set(samples.ids)
        problems.require(all(requests), "a benign request names nothing")
        unknown = sum(not known.issuperset(r) for r in requests)
        problems.require(not unknown, f"{unknown} benign requests name what is not among the samples")
        problems.raise_any()
        scores = {screen.name: screen.fit(trained, samples) for screen in self.screens}
        order = torch.randperm(len(requests), generator=generator(self.seed, "calibration")).tolist()
        first, second = order[: len(order) // 2], order[len(order) // 2 :]
        usual = {name: sorted(score(requests[p]) for p in first) for name, score in scores.items()}
        together = [
            (len(requests[p]), _ranks(usual, {name: score(requests[p]) for name, score in scores.items()}))
            for p in second
        ]
        groups = of_like_size(together, math.ceil(1 / self.false_alarms))
        return Assessor(scores, usual, groups, self.false_alarms, frozenset(known))

    def _drawn(self, samples: Samples) -> list[list[str]]:
        draw = generator(self.seed, "benign requests")
        sizes = [size for size in self.sizes if size < len(samples)] or [1]
        return [
            [samples.ids[p] for p in torch.randperm(len(samples), generator=draw)[: sizes[n % len(sizes)]].tolist()]
            for n in range(self.draws)
        ]


class Assessor:
    """Assesses requests; `Triage.fit` makes it."""

    def __init__(
        self,
        scores: Mapping[str, Score],
        usual: Mapping[str, Sequence[float]],
        groups: Sequence[tuple[int, Sequence[Ranks]]],
        false_alarms: float,
        known: frozenset[str],
    ) -> None:
        self._scores = scores
        self._usual = usual
        self._groups = groups
        self._false_alarms = false_alarms
        self._known = known

    def assess(self, request: Sequence[str]) -> Assessment:
        """What the screens make of a request.

        Args:
            request: ids of samples, as they were when this was fitted.

        Raises:
            BadInputError: it names nothing, or what is not there.
        """
        problems = Problems("cannot assess the request")
        problems.require(len(request) > 0, "it names nothing")
        unknown = [i for i in request if i not in self._known]
        problems.require(not unknown, f"{len(unknown)} ids are not among the samples")
        problems.raise_any()
        scores = {name: score(request) for name, score in self._scores.items()}
        rarities = {name: _rarity(self._usual[name], value) for name, value in scores.items()}
        # Lower is rarer; among the benign requests of like size and this one, how many are as rare?
        alike = next((ranks for size, ranks in self._groups if len(request) <= size), self._groups[-1][1])
        ranks = _ranks(self._usual, scores)
        rarity = (bisect_right(alike, ranks) + 1) / (len(alike) + 1)
        alarm = rarity <= self._false_alarms
        reasons = tuple(
            f"{name}: {scores[name]:.3g}, which {value:.2%} of benign requests reach"
            for name, value in sorted(rarities.items(), key=lambda item: item[1])
            if alarm and value <= max(min(rarities.values()), self._false_alarms)
        )
        return Assessment("safer" if alarm else "ordinary", rarity, scores, rarities, reasons)


def _least(screens: int, false_alarms: float) -> int:
    """Benign requests that it takes, so that not every request rarer than all of them is a false alarm's equal.

    Each screen finds one in n/2 requests of the second half rarer than all of the first: together no more than half as
    many as may raise alarms.
    """
    return math.ceil(4 * screens / false_alarms)


def of_like_size(asked: Sequence[tuple[int, Ranks]], enough: int) -> list[tuple[int, list[Ranks]]]:
    """Requests parted by size into groups of at least so many: each group's largest size, and what is known, in order.

    Requests of one size stay together. Where the largest are too few for a group, they join the one before.

    Args:
        asked: the size of each request, and what is known of it.
        enough: for a group.
    """
    groups: list[tuple[int, list[Ranks]]] = []
    for size in sorted({size for size, _ in asked}):
        own = [ranks for other, ranks in asked if other == size]
        if groups and len(groups[-1][1]) < enough:
            own += groups.pop()[1]
        groups.append((size, own))
    if len(groups) > 1 and len(groups[-1][1]) < enough:
        size, last = groups.pop()
        groups[-1] = (size, [*groups[-1][1], *last])
    return [(size, sorted(ranks)) for size, ranks in groups]


def _ranks(usual: Mapping[str, Sequence[float]], scores: Mapping[str, float]) -> Ranks:
    """How rare each score is, the rarest first."""
    return tuple(sorted(extrapolated(usual[name], value) for name, value in scores.items()))


def extrapolated(usual: Sequence[float], score: float) -> float:
    """`_rarity`, and less the farther a score lies beyond all that are usual, so that not all of these are alike."""
    beyond, scale = score - usual[-1], usual[-1] - usual[len(usual) // 2]
    return _rarity(usual, score) / (1 + beyond / (scale or 1.0)) if beyond > 0 else _rarity(usual, score)


def _rarity(usual: Sequence[float], score: float) -> float:
    """The share of benign requests, with this one, whose scores are as high."""
    return (len(usual) - bisect_left(usual, score) + 1) / (len(usual) + 1)
