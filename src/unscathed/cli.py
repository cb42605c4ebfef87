"""The command line: parse, call, print."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from unscathed.lab import running
from unscathed.lab.commands import lab
from unscathed.lab.terminal import ManyValues, Speaking
from unscathed.problems import Problems

app = typer.Typer(
    help="Machine unlearning that leaves the model whole.", cls=Speaking, no_args_is_help=True, add_completion=False
)
app.add_typer(lab, name="lab")
console = Console()
TABLE_WIDTH = 110  # what the summary needs; a pipe has no width of its own


@app.callback()
def main() -> None:
    """Machine unlearning that leaves the model whole: train with a reserve, unlearn, heal, audit."""
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"


@app.command(cls=ManyValues)
def demo(
    dataset: Annotated[str, typer.Option(help="A data set's name (digits, mnist, cifar10 …), or an image folder.")] = (
        "digits"
    ),
    data: Annotated[Path | None, typer.Option(help="The data set's files; without, the hub.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything.", min=0, max=2**32 - 1)] = 0,
    adversary: Annotated[
        list[str] | None,
        typer.Option(help="random, blind, output-aware, parameter-aware; one or more. \\[default: all]"),
    ] = None,
    unlearner: Annotated[
        list[str] | None, typer.Option(help="retrain, sisa, fisher, influence; one or more. \\[default: all]")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where results and report.html go. \\[default: unscathed-demo, or with the data set's name]"),
    ] = None,
    cache: running.CacheOption = None,
) -> None:
    """Attack a model trained with a reserve, unlearn four ways, heal, audit against gold, and write a report."""
    from unscathed.lab.board import Board
    from unscathed.lab.demo import demo_experiment
    from unscathed.lab.report import missing_extras, summary_table, write_report
    from unscathed.lab.runner import run
    from unscathed.lab.store import Store

    experiment = demo_experiment(dataset, data, seed=seed, adversaries=adversary or (), unlearners=unlearner or ())
    problems = Problems("cannot run the demo")
    problems.extend(missing_extras())
    problems.raise_any()
    folder = out or Path("unscathed-demo" if dataset == "digits" else f"unscathed-demo-{Path(dataset).name}")
    with Board(console) as board:
        outcome = run(experiment, folder, store=Store(cache), watcher=board, callbacks=[board.steps])
    console.print()
    Console(width=max(TABLE_WIDTH, console.width)).print(summary_table(folder))
    report = folder / "report.html"
    write_report(folder, report)
    before = f" ({outcome.there} measurements were there before)" if outcome.there else ""
    console.print(f"\nDone in {outcome.seconds:.0f} s{before}. Open the report: [bold]{report}[/bold]", highlight=False)
    console.print(f"The figures as data: {folder / 'measurements'}/*.parquet", highlight=False)
    if outcome.failures:
        raise typer.Exit(1)
