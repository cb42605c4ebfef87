"""Rows of an audit's page: each check in words and numbers, and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unscathed.audit.check import MARKS, TOLD
from unscathed.lab.report.interval_picture import IntervalPicture, interval_picture
from unscathed.lab.report.wording import number, signed

Json = Mapping[str, Any]
EXPLAINED = {
    "score on test samples": "How well the model does on samples held out.",
    "worst class": "The class that the model does worst on.",
    "mean loss": "How wrong the model is on average, and how surely.",
    "calibration error": "How far the model’s confidence is from how often it is right.",
    "score on the forgotten": "How well the model does on what it should have forgotten.",
    "membership AUC": "How well margins alone tell the forgotten from the unseen of their class; 0.5 is not at all.",
    "head start in relearning": "The share of gold’s steps that this model saves when the forgotten are taught again.",
}
"""What the checks measure, for someone who has not met them, by their names."""
ATTACKED = {
    " AUC": "How well an attacker with shadow models tells the forgotten from unseen samples; 0.5 is not at all.",
    " false ones": "Of the forgotten, how many such an attacker names where so few of the unseen are named wrongly.",
}
"""The same of attacks sample by sample, by the ends of their names."""
CLASS = "class "
"""What the names of checks of one class start with."""


@dataclass(frozen=True)
class Row:
    """A check.

    Args:
        name: what was measured.
        explained: the same in a sentence; empty for what has none.
        outcome: pass, fail, not enough evidence; or not judged.
        mark: its sign.
        weak: whether it is a cheap first look.
        found: the value, and the reference's, in words.
        difference: between them, with its interval.
        tolerated: what is let pass, in words; empty where nothing is judged.
        power: what this check would have seen; empty where that is unknown.
        remark: what else a reader should know.
        picture: of the interval.
    """

    name: str
    explained: str
    outcome: str
    mark: str
    weak: bool
    found: str
    difference: str
    tolerated: str
    power: str
    remark: str
    picture: IntervalPicture


def row_of(check: Json, reference: str, *, asks: str) -> Row:
    """A check as it is shown.

    Args:
        check: as `Check.to_json` gives it.
        reference: what it is compared with, unless it says so itself.
        asks: ``"utility"`` or ``"forgetting"``.
    """
    show = Shown(bool(check["percent"]))
    against = check["against"] or reference
    has = "have" if against.endswith("s") else "has"
    if against == "unseen samples" and str(check["name"]).endswith(" AUC"):
        against, has = "chance", "is"
    ends = [show.gap(check[end]) if check[end] is not None else "∞" for end in ("low", "high")]
    return Row(
        name=check["name"],
        explained=_explained(str(check["name"])),
        outcome=check["outcome"] if check["judged"] else "not judged",
        mark=MARKS[check["outcome"]] if check["judged"] else TOLD,
        weak=check["weak"],
        found=f"{show.value(check['value'])} where {against} {has} {show.value(check['reference'])}",
        difference=f"{show.gap(check['difference'])}{show.points} [{ends[0]}, {ends[1]}]",
        tolerated=_tolerated(check, show),
        power=power_of(check, asks=asks),
        remark=check["remark"],
        picture=interval_picture(check, show.gap),
    )


def power_of(check: Json, *, asks: str) -> str:
    """What a check would have seen, in words."""
    seen, memory, share = check["detectable"], check["memory"], check["detectable_memory"]
    show = Shown(bool(check["percent"]))
    if not check["judged"] or seen is None:
        return ""
    if asks == "utility":
        return f"Would fail, in four of five audits like this, a loss of {show.size(seen)}{show.points} or more."
    far = f"{show.size(seen)}{show.points}"
    if memory is None:
        return f"Would fail, in four of five audits like this, memory of {far} or more."
    if memory <= 0:
        return "The original shows no memory here: passing this check alone says little."
    if share is not None and share <= 1:
        return f"Would have seen {100 * share:.0f} % of the original’s memory ({far}) in four of five audits like this."
    return f"Would not be sure to see even the original’s memory ({show.gap(memory)}{show.points}): that takes {far}."


def sharpest(checks: Sequence[Json]) -> str:
    """The least memory that any check of forgetting would have seen, in words; empty where that is unknown."""
    shares = [check["detectable_memory"] for check in checks if check["judged"]]
    known = [share for share in shares if share is not None]
    if not known:
        return ""
    least = min(known)
    if least > 1:
        return "None of these checks would be sure to see even the whole of the original’s memory."
    return (
        f"The sharpest check would have seen {100 * least:.0f} % of the original’s memory, in four of five such audits."
    )


def is_class(check: Json) -> bool:
    """Whether a check is of one class."""
    return str(check["name"]).startswith(CLASS)


@dataclass(frozen=True)
class Shown:
    """Numbers of a check as text.

    Args:
        percent: whether they are shares.
    """

    percent: bool

    @property
    def points(self) -> str:
        """The unit of differences."""
        return "\N{NO-BREAK SPACE}points" if self.percent else ""

    def value(self, value: float | None) -> str:
        """A value with its unit."""
        if value is None:
            return "–"
        return f"{number(100 * value, 1)}\N{NO-BREAK SPACE}%" if self.percent else number(value, 3)

    def gap(self, value: float) -> str:
        """A difference with its sign."""
        return signed(100 * value, 1) if self.percent else signed(value, 3)

    def size(self, value: float) -> str:
        """A difference without its sign."""
        return number(abs(100 * value), 1) if self.percent else number(abs(value), 3)


def _explained(name: str) -> str:
    ends = (said for end, said in ATTACKED.items() if name.endswith(end))
    return EXPLAINED.get(name) or next(ends, "")


def _tolerated(check: Json, show: Shown) -> str:
    lowest, highest = check["lowest"], check["highest"]
    if not check["judged"]:
        return ""
    if lowest is None:
        return f"at most {show.gap(highest)}"
    if highest is None:
        return f"at least {show.gap(lowest)}"
    if lowest == -highest:
        return f"±{show.size(highest)}"
    return f"{show.gap(lowest)} to {show.gap(highest)}"
