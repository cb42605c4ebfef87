"""The summary table that a terminal shows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from unscathed.lab.report.cases import Case, by_adversary, cases
from unscathed.lab.report.source import results_of
from unscathed.lab.report.wording import Voice, listed, marks, number, times, voice
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


def tables_of(source: str | Path | Results) -> Group:
    """A table for each setting, see `summary_table`."""
    return Group(*(_table(results) for results in results_of(source)))


def _table(results: Results) -> Table:
    spoken, every = voice(results), cases(results)
    groups = by_adversary(every)
    seeds = {row.seed for row in results.rows}
    legend = LEGEND + (SISA_LEGEND if any(case.sharded for case in every) else "")
    if len(seeds) > 1:
        legend += f"\nmeans over {listed(seeds)}; ✓3 ✗2: how many seeds pass and fail"
    table = Table(
        title=Text(f"{results.title or results.dataset}: unlearned, healed, audited against gold", style="italic"),
        caption=Text(legend),
        box=box.Box("    \n  │ \n ─┼ \n  │ \n ─┼ \n ─┼ \n  │ \n    \n"),
        border_style="dim",
        header_style="",
        title_justify="left",
        caption_justify="left",
        padding=0,
        show_edge=False,
    )
    lines = {adversary: [(case, _values(case, spoken)) for case in group] for adversary, group in groups.items()}
    table.add_column("", no_wrap=True)
    widths = []
    for index, (heading, parts) in enumerate(GROUPS):
        found = [values[index] for group in lines.values() for _, values in group]
        widths.append([max([_width(p), *(len(v[k]) for v in found)]) for k, p in enumerate(parts)])
        shown = heading if spoken.shares else heading.replace("accuracy, %", "score").replace(", %", "")
        table.add_column(_heading(shown, parts, widths[-1]), no_wrap=True)
    for adversary, group in lines.items():
        table.add_section()
        table.add_row(Text(adversary, style="bold"))
        for case, values in group:
            table.add_row(Text(f" {case.name}"), *(_line(*pair) for pair in zip(values, widths, strict=True)))
    return table


def _values(case: Case, spoken: Voice) -> tuple[Sequence[str], ...]:
    original, gold, unlearned, both, control = case.original, case.gold, case.unlearned, case.both, case.control
    price = case.price()
    known = Voice(True, 1) if spoken.shares else spoken
    return (
        [
            # Five characters hold every accuracy but a round hundred with two decimals.
            "–" if model is None else spoken.number(model.test_accuracy)[: 5 if spoken.shares else 8]
            for model in (original, gold, unlearned, both, control)
        ],
        ["–" if model is None else known.number(model.forget_accuracy) for model in (gold, unlearned, both)],
        ["–" if model is None else number(model.membership_auc, 3) for model in (gold, both)],
        ["–", "–"] if price is None else [times(part) for part in price],
        [marks(both.words(question)) if both else "–" for question in ("whole", "forgotten")],
    )


def _line(values: Sequence[str], widths: Sequence[int]) -> Text:
    """The values, each right-aligned under its label."""
    cells = (Text(value.rjust(width), style=STYLES.get(value, "")) for value, width in zip(values, widths, strict=True))
    return Text(" ").join(cells)


def _heading(heading: str, parts: Parts, widths: Sequence[int]) -> Text:
    """The group's heading over its labels; labels of one line stand on the lower of two."""
    stacked = [label.split("\n") for label in parts]
    lines = zip_longest(*(reversed(label) for label in stacked), fillvalue="")
    aligned = [" ".join(part.rjust(width) for part, width in zip(line, widths, strict=True)) for line in lines]
    return Text("\n").join([Text(heading, style="bold"), *(Text(line, style="dim") for line in reversed(aligned))])


def _width(label: str) -> int:
    return max(map(len, label.split("\n")))
