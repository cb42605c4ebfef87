"""Check: one difference from a reference, judged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from unscathed.audit.intervals import Difference
from unscathed.audit.power import detectable

Outcome = Literal["pass", "fail", "not enough evidence"]
MARKS = {"pass": "✓", "fail": "✗", "not enough evidence": "?"}
TOLD = "·"
"""The mark of a check that is told and not judged."""


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
        memory: the original's difference on the same check: what never forgetting looks like; None where it is unknown.
    """

    name: str
    of: Difference
    lowest: float | None
    highest: float | None
    percent: bool = False
    against: str = ""
    remark: str = ""
    weak: bool = False
    memory: float | None = None

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

    @property
    def detectable(self) -> float | None:
        """The smallest true difference beyond what is tolerated that this check fails with 80 % probability.

        Of forgetting that is memory, above the upper bound; of utility a loss, below the lower one. None where there
        is no bound, and where what was seen tells nothing of errors (two equal models).
        """
        if self.highest is not None:
            return detectable(self.of, self.highest, 1)
        return None if self.lowest is None else detectable(self.of, self.lowest, -1)

    @property
    def detectable_memory(self) -> float | None:
        """The same as a share of the original's memory: above 1, not even the original would be sure to fail."""
        if self.detectable is None or self.highest is None or self.memory is None:
            return None
        return self.detectable / self.memory if self.memory > 0 else float("inf")

    def describe(self, reference: str) -> str:
        """One line: the measure, the reference's, the difference and its interval, what is tolerated."""
        of, reference = self.of, self.against or reference
        possessive = "'" if reference.endswith("s") else "'s"
        unit = " %" if self.percent else ""
        mark = TOLD if self.lowest is None and self.highest is None else MARKS[self.outcome]
        return (
            f"{mark} {self.name}{' (weak)' if self.weak else ''}: {self._show(of.value)}{unit} against "
            f"{reference}{possessive} {self._show(of.reference)}{unit}, {self._show(of.difference, '+')} "
            f"[{self._show(of.low, '+')}, {self._show(of.high, '+')}], {self._bounds()}"
            + (f" ({self.remark})" if self.remark else "")
        )

    def describe_power(self) -> str:
        """What this check would have seen, in a few words; empty where that is not known."""
        seen, share = self.detectable, self.detectable_memory
        if seen is None:
            return ""
        if math.isinf(seen):
            return "sees nothing with 80 % power: too few samples"
        said = f"sees {self._show(seen, '+')} with 80 % power"
        if self.memory is None:
            return said
        if share is None or math.isinf(share):
            return f"{said}; the original shows no memory here"
        if share > 1:
            return f"{said}: more than the original's memory of {self._show(self.memory, '+')}"
        return f"{said}: {100 * share:.0f} % of the original's memory"

    def _bounds(self) -> str:
        lowest, highest = self.lowest, self.highest
        if lowest is None and highest is None:
            return "not judged"
        if lowest is None:
            return f"tolerated at most {self._show(highest, '+')}"
        if highest is None:
            return f"tolerated at least {self._show(lowest, '+')}"
        if lowest == -highest:
            return f"tolerated ±{self._show(highest)}"
        return f"tolerated between {self._show(lowest, '+')} and {self._show(highest, '+')}"

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON; numbers that are not finite, or not there, are null."""
        return {
            "name": self.name,
            "outcome": self.outcome,
            "judged": self.lowest is not None or self.highest is not None,
            "weak": self.weak,
            "percent": self.percent,
            "against": self.against,
            "remark": self.remark,
            **{
                name: _finite(value)
                for name, value in (
                    ("value", self.of.value),
                    ("reference", self.of.reference),
                    ("difference", self.of.difference),
                    ("low", self.of.low),
                    ("high", self.of.high),
                    ("standard_error", self.of.standard_error),
                    ("lowest", self.lowest),
                    ("highest", self.highest),
                    ("detectable", self.detectable),
                    ("memory", self.memory),
                    ("detectable_memory", self.detectable_memory),
                )
            },
        }

    def _show(self, value: float | None, sign: str = "") -> str:
        scale, digits = (100, 1) if self.percent else (1, 3)
        return f"{(value or 0.0) * scale:{sign}.{digits}f}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
