"""Verdict: is the model whole, and is the data gone?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unscathed.audit.intervals import Difference

Outcome = Literal["pass", "fail", "not enough evidence"]
MARKS = {"pass": "✓", "fail": "✗", "not enough evidence": "?"}


@dataclass(frozen=True)
class Check:
    """One measure, judged.

    Args:
        name: what was measured.
        of: the measure and its interval, against the reference.
        lowest: the least difference that is tolerated; None for no bound.
        highest: the largest.
        percent: whether the measure is a share, to be shown in percent.
    """

    name: str
    of: Difference
    lowest: float | None
    highest: float | None
    percent: bool = False

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
        of = self.of

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


@dataclass(frozen=True)
class Verdict:
    """What an audit found. Its text says what it rests on.

    Args:
        utility: checks of what the model can still do; the first is of all test samples, others of one class each.
        forgetting: checks of what it still knows of the forgotten.
        utility_reference: what utility is compared with.
        forgetting_reference: what forgetting is compared with.
        control: the same checks of the original, which never forgot. Where they do not find its memory, they say
            nothing of any other model; empty where there was no original to check.
        note: what the reader must know about these references.
        untouched: whether there was nothing to do, since the model never saw the forgotten; then nothing is checked.
    """

    utility: tuple[Check, ...]
    forgetting: tuple[Check, ...]
    utility_reference: str = "gold"
    forgetting_reference: str = "gold"
    control: tuple[Check, ...] = ()
    note: str = ""
    untouched: bool = False

    @property
    def whole(self) -> Outcome:
        """Fail where any class fails; otherwise as all test samples together say."""
        if self.untouched:
            return "pass"
        if not self.utility:
            return "not enough evidence"
        if any(check.outcome == "fail" for check in self.utility):
            return "fail"
        return self.utility[0].outcome

    @property
    def powerless(self) -> bool:
        """Whether the original's memory goes unnoticed by these checks, so that passing them means nothing."""
        return bool(self.control) and not any(check.exceeds for check in self.control)

    @property
    def forgotten(self) -> Outcome:
        """Fail where any check fails; pass where all pass and the original would not."""
        if self.untouched:
            return "pass"
        outcomes = {check.outcome for check in self.forgetting}
        if "fail" in outcomes:
            return "fail"
        return "pass" if outcomes == {"pass"} and not self.powerless else "not enough evidence"

    def __str__(self) -> str:
        lines = [f"whole: {self.whole}"]
        # Of the classes, only those that say something against the model are worth a line.
        shown = [c for i, c in enumerate(self.utility) if i == 0 or c.outcome == "fail"]
        lines += [f"  {check.describe(self.utility_reference)}" for check in shown]
        lines.append(f"forgotten: {self.forgotten}")
        lines += [f"  {check.describe(self.forgetting_reference)}" for check in self.forgetting]
        if self.powerless:
            lines.append("  ? the original, which never forgot, does not fail this either: these checks cannot tell")
        return "\n".join([*lines, self.note] if self.note else lines)
