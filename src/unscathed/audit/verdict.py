"""Verdict: is the model whole, and is the data gone?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unscathed.audit.check import Check, Outcome
from unscathed.audit.controls import ORIGINAL, Control
from unscathed.audit.measure import Question


@dataclass(frozen=True)
class Verdict:
    """What an audit found. Its text says what it rests on.

    Args:
        utility: checks of what the model can still do; the first is of all test samples, others of one class each.
        forgetting: checks of what it still knows of the forgotten.
        utility_reference: what utility is compared with.
        forgetting_reference: what forgetting is compared with.
        controls: models that must not pass, and what the same checks found of them. Where a control gets through, no
            other model passes either.
        with_twins: the same checks against gold with the twins, which is what healing aims at; they decide nothing.
        note: what the reader must know about these references.
        untouched: whether there was nothing to do, since the model never saw the forgotten; then nothing is checked.
    """

    utility: tuple[Check, ...]
    forgetting: tuple[Check, ...]
    utility_reference: str = "gold"
    forgetting_reference: str = "gold"
    controls: tuple[Control, ...] = ()
    with_twins: Verdict | None = None
    note: str = ""
    untouched: bool = False

    @property
    def whole(self) -> Outcome:
        """Fail where any check fails; otherwise as all test samples together say, if the controls fail."""
        if self.untouched:
            return "pass"
        if any(check.outcome == "fail" for check in self.utility):
            return "fail"
        if not self.utility or self.unnoticed("utility"):
            return "not enough evidence"
        return self.utility[0].outcome

    @property
    def forgotten(self) -> Outcome:
        """Fail where any check fails; pass where all pass and the controls would not."""
        if self.untouched:
            return "pass"
        outcomes = {check.outcome for check in self.forgetting}
        if "fail" in outcomes:
            return "fail"
        return "pass" if outcomes == {"pass"} and not self.unnoticed("forgetting") else "not enough evidence"

    @property
    def control(self) -> tuple[Check, ...]:
        """The forgetting checks of the original, which never forgot; empty where there was none to check."""
        return next((control.checks for control in self.controls if control.name == ORIGINAL), ())

    @property
    def powerless(self) -> bool:
        """Whether the original's memory goes unnoticed by these checks, so that passing them means nothing."""
        return any(control.name == ORIGINAL for control in self.unnoticed("forgetting"))

    def unnoticed(self, question: Question) -> tuple[Control, ...]:
        """The controls that should have failed on a question, and did not."""
        return tuple(control for control in self.controls if control.asks == question and not control.noticed)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON; numbers that are not finite, or not there, are null."""
        return {
            "whole": self.whole,
            "forgotten": self.forgotten,
            "powerless": self.powerless,
            "untouched": self.untouched,
            "utility_reference": self.utility_reference,
            "forgetting_reference": self.forgetting_reference,
            "utility": [check.to_json() for check in self.utility],
            "forgetting": [check.to_json() for check in self.forgetting],
            "controls": [control.to_json() for control in self.controls],
            "with_twins": None if self.with_twins is None else self.with_twins.to_json(),
            "note": self.note,
        }

    def __str__(self) -> str:
        lines = [f"whole: {self.whole}", *self._section("utility", self.utility, self.utility_reference)]
        lines += [f"forgotten: {self.forgotten}"]
        lines += self._section("forgetting", self.forgetting, self.forgetting_reference)
        noticed = [control.name for control in self.controls if control.noticed]
        lines += [f"controls that fail, as they must: {', '.join(noticed)}"] if noticed else []
        if self.with_twins is not None:
            beside = self.with_twins
            lines.append("against gold with the twins, which healing aims at, and which decides nothing:")
            lines += [f"  {check.describe(beside.utility_reference)}" for check in beside.utility[:1]]
            lines += [f"  {check.describe(beside.forgetting_reference)}" for check in beside.forgetting]
        return "\n".join([*lines, self.note] if self.note else lines)

    def _section(self, question: Question, checks: tuple[Check, ...], reference: str) -> list[str]:
        """Each check, and under it its power; of the classes, only those that say something against the model."""
        lines = []
        for check in checks:
            if check.name.startswith("class ") and check.outcome != "fail":
                continue
            lines.append(f"  {check.describe(reference)}")
            power = check.describe_power()
            lines += [f"    {power}"] if power else []
        names = [control.name for control in self.unnoticed(question)]
        if names:
            what = "which never forgot" if question == "forgetting" else "which knows nothing"
            nor = f", nor {' and '.join(names[1:])}" if names[1:] else ""
            lines.append(f"  ? {names[0]}, {what}, does not fail this either{nor}: these checks cannot tell")
        return lines
