"""ReservePlan: how large the reserve must be, how sure that is, and what it rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from unscathed.planning.curve import Curve, Mean
from unscathed.planning.points import PilotPoint
from unscathed.planning.text import estimate, number, whiskers

Limit = Literal["loss", "exhaustion", "nothing holds"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What was asked, and on how much of it the pilots ran.

    Args:
        requests: what arrives, in words.
        horizon: how many requests the reserve must last for.
        tolerance: the loss of mean score against gold that is tolerated.
        samples: how many there are of each class, the reserve among them.
        piloted: how many requests each pilot ran.
        pilot: the share of the samples that pilots ran on.
        scale: samples that requests name, as a multiple of what they named in the pilots.
        percent: whether scores are shares, to be shown in percent.
    """

    requests: str
    horizon: int
    tolerance: float
    samples: Mapping[str, int]
    piloted: int
    pilot: float = 1.0
    scale: float = 1.0
    percent: bool = True

    @property
    def stretch(self) -> float:
        """How many times as long as the pilots the horizon is."""
        return self.horizon / self.piloted

    @property
    def total(self) -> int:
        """How many samples there are."""
        return sum(self.samples.values())


@dataclass(frozen=True, kw_only=True)
class ReservePlan:
    """The smallest reserve that holds, found by pilot healings; its text says what it rests on.

    Args:
        question: what was asked.
        points: what the pilots measured.
        curve: loss against size, fitted to them.
        size: spares to hold back; None where no size that was tried is known to be enough.
        share: the same as a share of the samples.
        interval: sizes between which the smallest that holds lies (95 %, where the loss decides; else the least and
            the most that any seed's requests need); its upper end is None where it lies beyond what was tried.
        limit: what decides: the ``"loss"``; ``"exhaustion"``, where each size that was tried keeps the loss tolerated
            and only running out of twins bounds the reserve from below; or ``"nothing holds"``.
        needed: spares of each class that give everyone a twin over the horizon, by the most demanding seed.
        help: how much less the healed models lose than those healed on retained data alone, paired by seed.
        reasons: why this size, and what the reader must know, one sentence each.
    """

    question: Question
    points: tuple[PilotPoint, ...]
    curve: Curve
    size: int | None
    share: float | None
    interval: tuple[int, int | None]
    limit: Limit
    needed: Mapping[str, int]
    help: Mean
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        question, percent = self.question, self.question.percent
        low, high = self.interval
        between = f"between {low} and {high}" if high is not None else f"at least {low}"
        if self.size is not None and self.share is not None:
            head = f"reserve: {self.size} spares, {self.share:.1%} of {question.total} samples ({between})"
        elif self.limit == "exhaustion":
            head = f"reserve: none lasts, for {between} spares would be needed of {question.total} samples"
        elif (low, high) == (0, None):
            head = "reserve: unknown; the pilots are too few to tell whether any size holds"
        else:
            head = f"reserve: unknown; of the sizes that were tried none is known to hold (what does: {between})"
        if self.limit == "exhaustion" and self.curve.limit[0] <= question.tolerance:
            least = math.ceil(round(self.curve.shares[0] * question.total, 6))
            head += f"; for the loss alone, the smallest that was tried is enough: {least}"
        unit = " percentage points" if percent else ""
        lines = [
            head,
            f"  for {question.horizon} times {question.requests}, and a loss against gold of at most "
            f"{number(question.tolerance, percent, '')}{unit}",
            f"  {'share':>6}  {'loss [95 %]':<24}  0 and the tolerance are marked{'':<6}  control  gold    ran out",
        ]
        means = [
            Mean(*row) for row in zip(self.curve.mean, self.curve.low, self.curve.high, self.curve.seeds, strict=True)
        ]
        drawn = whiskers(means, (0.0, question.tolerance))
        for share, mean, drawing in zip(self.curve.shares, means, drawn, strict=True):
            here = [p for p in self.points if p.share == share]
            control = sum(p.control_loss for p in here) / len(here) * question.stretch
            gold = sum(p.gold for p in here) / len(here)
            out = sum(p.ran_out is not None for p in here)
            lines.append(
                f"  {share:>6.1%}  {estimate(mean, percent):<24}  {drawing}  {number(control, percent):<7}  "
                f"{number(gold, percent, ''):<6}  {out} of {len(here)}"
            )
        return "\n".join([*lines, *(f"  - {reason}" for reason in self.reasons)])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: the answer, and all that it was found from."""
        low, high = self.interval
        return {
            "question": {**asdict(self.question), "samples": dict(self.question.samples)},
            "size": self.size,
            "share": self.share,
            "interval": [low, high],
            "limit": self.limit,
            "needed": dict(self.needed),
            "help": _plain(self.help),
            "reasons": list(self.reasons),
            "curve": {name: list(values) for name, values in asdict(self.curve).items()},
            "points": [point.to_json() for point in self.points],
        }


def _plain(mean: Mean) -> dict[str, float | None]:
    """A mean whose infinite ends are null: JSON knows no infinity."""
    return {name: value if math.isfinite(value) else None for name, value in mean._asdict().items()}
