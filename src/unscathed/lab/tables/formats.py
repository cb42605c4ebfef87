"""Formats: one table as Markdown, as LaTeX, as CSV, and for a terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from unscathed.audit.check import MARKS
from unscathed.lab.labels import AXES, OUTCOMES
from unscathed.lab.tables.cells import DAGGER, DASH, FAILED, Cell, Style

Key = tuple[Any, ...]
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": r"$-$", "–": "--", "†": r"$\dagger$",
    "✓": r"$\checkmark$", "✗": r"$\times$", "·": r"$\cdot$", "’": "'", "\N{NO-BREAK SPACE}": "~",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One table among those that were asked for together.

    Args:
        title: what is shown, of what.
        own: the values, on axes that are neither rows nor columns, that tell it from the other parts.
        row_axes, column_axes: axes.
        rows, columns: values on them, in order.
        row_labels, column_labels: what they are called, a label for each level.
        cells: by row and column; what is missing was not measured.
        style: how cells are written.
        even: whether as many seeds stand behind every cell.
    """

    title: str
    own: Mapping[str, Any]
    row_axes: tuple[str, ...]
    column_axes: tuple[str, ...]
    rows: tuple[Key, ...]
    columns: tuple[Key, ...]
    row_labels: tuple[tuple[str, ...], ...]
    column_labels: tuple[tuple[str, ...], ...]
    cells: Mapping[tuple[Key, Key], Cell]
    style: Style
    even: bool

    @property
    def row_headings(self) -> tuple[str, ...]:
        """What the columns of row labels are headed."""
        joined = ("healer", "similarity") if "stage" in self.row_axes else ()
        return tuple(AXES[axis] for axis in self.row_axes if axis not in joined)

    def texts(self) -> Iterator[tuple[tuple[str, ...], list[str]]]:
        """Each row's labels and its cells' texts."""
        for row, label in zip(self.rows, self.row_labels, strict=True):
            yield label, [self.style.write(self.cells.get((row, column), Cell())) for column in self.columns]


@dataclass(frozen=True)
class Table:
    """What `table` made: one or more tables, with what must be known to read them.

    It prints itself in a terminal (rich) and in a notebook.

    Args:
        parts: the tables.
        value: the measure.
        interval: ``t`` or ``bootstrap``.
        level: of the interval.
        failures: what failed, a line each.
        against: what differences are taken from; empty where values are shown as they are.
    """

    parts: tuple[Part, ...]
    value: str
    interval: str
    level: float
    failures: tuple[str, ...] = ()
    against: str = ""

    def caption(self, part: Part) -> str:
        """What n is and what the interval is."""
        n = part.style.n or 0
        seeds = f"n = {n} seed{'' if n == 1 else 's'}" + ("" if part.even else " unless a cell says otherwise")
        if self.value in OUTCOMES:
            said = "✓ pass, ✗ fail, ? not enough evidence: how many seeds."
        elif n == 1 and part.even:
            said = f"{seeds}: no interval."
        else:
            pairs = f" of differences from {self.against}, paired by seed," if self.against else ""
            kind = f"{100 * self.level:g} % {self.interval} interval"
            width = f"± half its {kind}" if self.interval == "t" else f"[{kind}]"
            said = f"Mean{pairs} {width}, over seeds; {seeds}."
        marked = any(cell.failed and cell.n for cell in part.cells.values())
        return f"{said} {DAGGER} some seeds failed." if marked else said

    def markdown(self) -> str:
        """As Markdown tables, each under its title."""
        blocks = []
        for part in self.parts:
            heads = [*part.row_headings, *(" · ".join(levels) for levels in part.column_labels)]
            lines = [heads, ["---"] * len(part.row_headings) + ["---:"] * len(part.columns)]
            lines += [[*label, *texts] for label, texts in part.texts()]
            rows = "\n".join("| " + " | ".join(text.replace("|", r"\|") for text in line) + " |" for line in lines)
            blocks.append(f"**{part.title}**\n\n{rows}\n\n{self.caption(part)}")
        blocks += ["Failed:\n\n" + "\n".join(f"- {line}" for line in self.failures)] if self.failures else []
        return "\n\n".join(blocks) + "\n"

    def latex(self) -> str:
        """As LaTeX tables (packages booktabs and amssymb)."""
        return "\n".join(self._latex(part) for part in self.parts)

    def csv(self) -> str:
        """As CSV: a line for each cell, all axes by their constructor texts, numbers unrounded."""
        buffer = io.StringIO()
        words = self.value in OUTCOMES
        values: Sequence[Any]
        numbers = list(MARKS) if words else ["mean", "low", "high"]
        first = self.parts[0]
        axes = [*first.own, *first.row_axes, *first.column_axes]
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["measure", "against", *axes, *numbers, "n", "failed"])
        for part in self.parts:
            for (row, column), cell in part.cells.items():
                of = cell.estimate
                counted = [(cell.counts or {}).get(word, 0) for word in MARKS]
                values = counted if words else [of.mean, of.low, of.high] if of else [None] * 3
                writer.writerow(
                    [self.value, self.against, *part.own.values(), *row, *column, *values, cell.n, cell.failed]
                )
        return buffer.getvalue()

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def __str__(self) -> str:
        return self.markdown()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in self.parts:
            yield Text(part.title, style="bold")
            yield _rich(part)
            yield Text(f"{self.caption(part)}\n", style="dim")
        if self.failures:
            yield Text("Failed:", style="bold red")
            yield from (Text(f"  {line}") for line in self.failures)

    def _latex(self, part: Part) -> str:
        side = len(part.row_headings)
        notes = f" Failed: {'; '.join(self.failures)}." if self.failures else ""
        lines = [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_escaped(part.title)}. {_escaped(self.caption(part) + notes)}}}",
            rf"  \begin{{tabular}}{{{'l' * side}{'r' * len(part.columns)}}}",
            r"    \toprule",
        ]
        depth = len(part.column_labels[0])
        for level in range(depth):
            last = level == depth - 1
            heads = [_escaped(text) if last else "" for text in part.row_headings]
            spans = _spans([levels[: level + 1] for levels in part.column_labels])
            texts = [_escaped(labels[-1]) for labels, _ in spans]
            if not last:
                texts = [rf"\multicolumn{{{n}}}{{c}}{{{text}}}" for text, (_, n) in zip(texts, spans, strict=True)]
            else:
                texts = [_escaped(levels[-1]) for levels in part.column_labels]
            lines.append("    " + " & ".join([*heads, *texts]) + r" \\")
            if not last:
                start, rules = side + 1, []
                for _, n in spans:
                    rules.append(rf"\cmidrule(lr){{{start}-{start + n - 1}}}")
                    start += n
                lines.append("    " + " ".join(rules))
        lines.append(r"    \midrule")
        for index, (shown, texts) in enumerate(_sparse(part)):
            if index and side > 1 and shown[0]:
                lines.append(r"    \addlinespace")
            lines.append("    " + " & ".join(map(_escaped, [*shown, *texts])) + r" \\")
        return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""])


def _rich(part: Part) -> RichTable:
    shown = RichTable(box=box.SIMPLE_HEAD, header_style="", pad_edge=False)
    for heading in part.row_headings:
        shown.add_column(Text(heading, style="dim"), no_wrap=True)
    for levels in part.column_labels:
        text = "\n".join(levels) if len(levels) > 1 else levels[0].replace(" (", "\n(", 1)
        # Where the terminal is narrow a number may break, but is never cut off.
        shown.add_column(Text(text), justify="right", overflow="fold")
    for index, (labels, texts) in enumerate(_sparse(part)):
        if index and len(part.row_headings) > 1 and labels[0]:
            shown.add_section()
        cells = (Text(text, style={FAILED: "bold red", DASH: "dim"}.get(text, "")) for text in texts)
        shown.add_row(*(Text(label) for label in labels), *cells)
    return shown


def _sparse(part: Part) -> Iterator[tuple[list[str], list[str]]]:
    """Rows whose labels are blank where they repeat those above."""
    above: Sequence[str] = ()
    for label, texts in part.texts():
        shown = [text if label[: i + 1] != above[: i + 1] else "" for i, text in enumerate(label)]
        above = label
        yield shown, texts


def _spans(columns: Sequence[tuple[str, ...]]) -> list[tuple[tuple[str, ...], int]]:
    return [(labels, len(list(same))) for labels, same in groupby(columns)]


def _escaped(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)
