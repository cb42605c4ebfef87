"""Check: one difference from a reference, judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unscathed.audit.intervals import Difference

Outcome = Literal["pass", "fail", "not enough evidence"]
MARKS = {"pass": "✓", "fail": "✗", "not enough evidence": "?"}


@dataclass(frozen=True)
class Check:
    """One difference from a reference, judged.

    Of forgetting, the measure grows with what the model still knows: higher than the reference is memory, lower is
    as suspicious where it is bounded too.

    Args:
        name: what was measured.
        of: the measure and its interval, against the reference.
        lowest: the least difference that is tolerated; None for no bound.
        highest: the largest. Without any bound, the check is told and not judged.
        percent: whether the measure is a share, to be shown in percent.
        against: what the reference is; empty for what the verdict says.
        remark: what the reader should know about these numbers, in a few words.
        weak: whether this is a cheap first look, of which a pass means little.
    """

    name: str
    of: Difference
    lowest: float | None
    highest: float | None
    percent: bool = False
    against: str = ""
    remark: str = ""
    weak: bool = False

    @property
    def outcome(self) -> Outcome:
        """Pass where the whole interval is tolerated, fail where none of it is, otherwise too little evidence."""
        low = float("-inf") if self.lowest is None else self.lowest
        high = float("inf") if self.highest is None else self.highest
        if low <= self.of.low and self.of.high <= high:
            return "pass"
        if self.of.high < low or self.of.low > high:
            return "fail"
        return "not enough evidence"

    @property
    def exceeds(self) -> bool:
        """Whether the whole interval lies above what is tolerated."""
        return self.highest is not None and self.of.low > self.highest

    def describe(self, reference: str) -> str:
        """One line: the measure, the reference's, the difference and its interval, what is tolerated."""
        scale, unit = (100, " %") if self.percent else (1, "")
        digits = 1 if self.percent else 3
        of, reference = self.of, self.against or reference

        def show(value: float, sign: str = "") -> str:
            return f"{value * scale:{sign}.{digits}f}"

        possessive = "'" if reference.endswith("s") else "'s"
        bounds = {
            (False, True): f"at least {show(self.lowest or 0, '+')}",
            (True, False): f"at most {show(self.highest or 0, '+')}",
            (False, False): f"between {show(self.lowest or 0, '+')} and {show(self.highest or 0, '+')}",
            (True, True): "anything",
        }[(self.lowest is None, self.highest is None)]
        return (
            f"{MARKS[self.outcome]} {self.name}: {show(of.value)}{unit} against {reference}{possessive} "
            f"{show(of.reference)}{unit}, {show(of.difference, '+')} "
            f"[{show(of.low, '+')}, {show(of.high, '+')}], tolerated {bounds}"
        )
