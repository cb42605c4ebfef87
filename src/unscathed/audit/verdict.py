"""Verdict: is the model whole, and is the data gone?"""

from __future__ import annotations

from dataclasses import dataclass

from unscathed.audit.check import Check, Outcome


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
