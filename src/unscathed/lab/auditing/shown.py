"""Shown: an audit's verdict for a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from unscathed.audit.check import MARKS
from unscathed.lab.auditing.run import AuditOutcome

STYLES = {"pass": "green", "fail": "red", "not enough evidence": "yellow"}


def shown(found: AuditOutcome) -> Table:
    """The verdict as it prints itself, with its marks and outcomes in colour, and what it rests on."""
    # A column a level, so that what is wrapped stays under its own first word.
    lines = Table.grid(padding=0)
    lines.add_column(overflow="fold")
    lines.add_row(Text(found.outcome.upper(), style=f"bold {STYLES[found.outcome]}"))
    for line in [*str(found.verdict).splitlines(), "", "what this rests on:"]:
        lines.add_row(_indented(line))
    for said in found.record["rests_on"]:
        lines.add_row(_indented(f"  · {said}"))
    return lines


def _indented(line: str) -> Table | Text:
    """A line whose further lines start where its words do."""
    words = line.lstrip()
    sign = words[:2] if words[:2].strip() in {*MARKS.values(), "·"} else ""
    indent = len(line) - len(words) + len(sign)
    if not indent:
        return _coloured(words)
    row = Table.grid(padding=0)
    row.add_column(width=indent, no_wrap=True)
    row.add_column(overflow="fold")
    outcome = next((outcome for outcome, mark in MARKS.items() if sign.strip() == mark), None)
    style = "" if outcome is None else f"bold {STYLES[outcome]}"
    row.add_row(Text(" " * (indent - len(sign)) + sign, style=style), _coloured(words[len(sign) :]))
    return row


def _coloured(words: str) -> Text:
    text = Text(words)
    for outcome, style in STYLES.items():
        text.highlight_regex(rf"(?<=^whole: ){outcome}$|(?<=^forgotten: ){outcome}$", style=f"bold {style}")
    return text
