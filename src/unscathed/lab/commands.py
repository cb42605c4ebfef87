"""The lab's commands on results: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from unscathed.lab import running
from unscathed.lab.terminal import ManyValues, Speaking
from unscathed.problems import BadInputError

lab = typer.Typer(help="Experiments: run them, and show what they gave.", cls=Speaking, no_args_is_help=True)
for command in (running.run, running.check, running.cache):
    lab.command()(command)
FORMATS = ("terminal", "markdown", "latex", "csv")

Folder = Annotated[Path, typer.Argument(metavar="RESULTS", help="A results folder.", show_default=False)]
Interval = Annotated[str, typer.Option(help="Over seeds: t or bootstrap.")]


@lab.command(cls=ManyValues)
def table(
    results: Folder,
    rows: Annotated[
        list[str] | None,
        typer.Option(help="Axes down the side; one or more. \\[default: adversary unlearner]", show_default=False),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(help="Axes along the top; one or more. \\[default: stage healer]", show_default=False),
    ] = None,
    value: Annotated[
        str, typer.Option(help="A measure, e.g. forget_accuracy, whole; or a cost: steps, wall_seconds.")
    ] = "test_accuracy",
    against: Annotated[
        str | None, typer.Option(help="Show differences, paired by seed, from a stage (gold) or from axis=value.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="axis=value: show only this; one or more, several of one axis too.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help=f"{', '.join(FORMATS)}.")] = "terminal",
    interval: Interval = "t",
) -> None:
    """Show a table of means over seeds. What varies and is not named makes a table each."""
    from unscathed.lab.extras import TABLES, require_extras

    require_extras("cannot make the table", TABLES)
    from unscathed.lab import tables
    from unscathed.lab.frames import read, read_failures

    if form not in FORMATS:
        raise BadInputError("cannot make the table", [f"unknown format {form!r}; there are {', '.join(FORMATS)}"])
    made = tables.table(
        read(results),
        rows or tables.ROWS,
        columns or tables.COLUMNS,
        value,
        against=against,
        where=_conditions(where or []),
        interval=interval,  # type: ignore[arg-type]
        failures=read_failures(results),
    )
    if form == "terminal":
        Console().print(made)
    else:
        typer.echo({"markdown": made.markdown, "latex": made.latex, "csv": made.csv}[form]().rstrip("\n"))


@lab.command()
def plot(
    results: Folder,
    out: Annotated[Path | None, typer.Option(help="Where figures go. \\[default: RESULTS/plots]")] = None,
    interval: Interval = "t",
) -> None:
    """Draw every figure that the results allow, as SVG and as PNG."""
    from unscathed.lab.extras import PLOTS, require_extras

    require_extras("cannot draw plots", PLOTS)
    from unscathed.lab import plots
    from unscathed.lab.frames import read

    with Console().status("drawing"):
        files = plots.plot(read(results), out or results / "plots", interval=interval)  # type: ignore[arg-type]
    for file in files:
        Console().print(str(file), soft_wrap=True)


@lab.command()
def report(
    results: Folder,
    out: Annotated[Path | None, typer.Option(help="The page. \\[default: RESULTS/report.html]")] = None,
) -> None:
    """Write a page that shows and tells what was measured."""
    page = out or results / "report.html"
    from unscathed.lab.report import write_report

    if not page.parent.is_dir():
        raise BadInputError("cannot write the report", [f"there is no folder {page.parent}"])
    with Console().status("writing the report"):
        write_report(results, page)
    Console().print(str(page), soft_wrap=True)


def _conditions(texts: list[str]) -> dict[str, list[str]]:
    """``axis=value`` by axis."""
    wrong = [text for text in texts if "=" not in text]
    if wrong:
        raise BadInputError("cannot narrow the table", [f"{text!r} is not axis=value" for text in wrong])
    found: dict[str, list[str]] = {}
    for text in texts:
        axis, _, value = text.partition("=")
        found.setdefault(axis, []).append(value)
    return found
