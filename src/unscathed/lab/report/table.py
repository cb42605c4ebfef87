"""The summary table that a terminal shows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich import box
from rich.table import Table
from rich.text import Text

from unscathed.lab.report.cases import Case, by_adversary, cases
from unscathed.lab.report.wording import decimals, mark, times
from unscathed.lab.results import Results

Parts = tuple[str, ...]
# A column of the table is a group of numbers under one heading: rich has no headings that span columns, and with a
# column for each number the gaps alone would take a quarter of a terminal's width.
GROUPS: tuple[tuple[str, Parts], ...] = (
    ("test accuracy, %", ("original", " gold", "un-\nlearned", "healed", "control")),
    ("forgotten, %", (" gold", "un-\nlearned", "healed")),
    ("membership", (" gold", "healed")),
    ("cost / gold", ("steps", " time")),
    ("audit", ("whole", "gone")),
)
STYLES = {"✓": "green", "✗": "bold red", "?": "yellow", "–": "dim"}
LEGEND = (
    "healed: on retained data and twins; control: on retained data alone; membership: AUC, 0.5 is chance\n"
    "audit of healed: whole, as good as gold? gone, forgotten as by gold? ✓ pass, ✗ fail, ? not enough evidence\n"
    "(gone is ? wherever the audit does not even find the memory of the original, which never forgot)"
)
SISA_LEGEND = "\nSISA is exact, and its shards are weaker than gold: gone compares with its own retraining"


def summary_table(results: Results) -> Table:
    """A row for each adversary and unlearner, for a terminal of 110 columns or more.

    Args:
        results: what was measured.
    """
    digits, found = decimals(results), cases(results)
    table = Table(
        title=Text(f"{results.dataset}: unlearned, healed, audited against gold", style="italic"),
        caption=Text(LEGEND + (SISA_LEGEND if any(case.unlearner == "sisa" for case in found) else "")),
        box=box.Box("    \n  │ \n ─┼ \n  │ \n ─┼ \n ─┼ \n  │ \n    \n"),
        border_style="dim",
        header_style="",
        title_justify="left",
        caption_justify="left",
        padding=0,
        show_edge=False,
    )
    table.add_column("", no_wrap=True)
    for heading, parts in GROUPS:
        table.add_column(_heading(heading, parts), no_wrap=True)
    for adversary, group in by_adversary(found).items():
        table.add_section()
        table.add_row(Text(adversary, style="bold"))
        for case in group:
            values = zip(_values(case, digits), GROUPS, strict=True)
            table.add_row(Text(f" {case.name}"), *(_line(shown, parts) for shown, (_, parts) in values))
    return table


def _values(case: Case, digits: int) -> tuple[Sequence[str], ...]:
    original, gold, unlearned, both, control = case.original, case.gold, case.unlearned, case.both, case.control
    price = case.price()
    return (
        [
            # Five characters hold every accuracy but a round hundred with two decimals.
            "–" if row is None else f"{row.test_accuracy:.{digits}f}"[:5]
            for row in (original, gold, unlearned, both, control)
        ],
        ["–" if row is None else f"{row.forget_accuracy:.1f}" for row in (gold, unlearned, both)],
        ["–" if row is None else f"{row.membership_auc:.3f}" for row in (gold, both)],
        ["–", "–"] if price is None else [times(part) for part in price],
        [mark(both.whole if both else None), mark(both.forgotten if both else None)],
    )


def _line(values: Sequence[str], parts: Parts) -> Text:
    """The values, each right-aligned under its label."""
    cells = (
        Text(value.rjust(width), style=STYLES.get(value, ""))
        for value, width in zip(values, map(_width, parts), strict=True)
    )
    return Text(" ").join(cells)


def _heading(heading: str, parts: Parts) -> Text:
    """The group's heading over its labels; labels of one line stand on the lower of two."""
    stacked = [label.split("\n") for label in parts]
    lines = zip_longest(*(reversed(label) for label in stacked), fillvalue="")
    aligned = [" ".join(part.rjust(_width(label)) for part, label in zip(line, parts, strict=True)) for line in lines]
    return Text("\n").join([Text(heading, style="bold"), *(Text(line, style="dim") for line in reversed(aligned))])


def _width(label: str) -> int:
    return max(map(len, label.split("\n")))
