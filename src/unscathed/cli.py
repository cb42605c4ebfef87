"""The command line: parse, call, print."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from unscathed.lab.terminal import ManyValues, told
from unscathed.problems import Problems

app = typer.Typer(help="Machine unlearning that leaves the model whole.", no_args_is_help=True, add_completion=False)
console = Console()
TABLE_WIDTH = 110  # what the summary needs; a pipe has no width of its own


@app.callback()
def main() -> None:
    """Machine unlearning that leaves the model whole: train with a reserve, unlearn, heal, audit."""
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"


@app.command(cls=ManyValues)
def demo(
    dataset: Annotated[str, typer.Option(help="digits, mnist, cifar10, or an image folder.")] = "digits",
    data: Annotated[Path | None, typer.Option(help="Parquet files of mnist or cifar10; without, the hub.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything.", min=0, max=2**32 - 1)] = 0,
    adversary: Annotated[
        list[str] | None,
        typer.Option(help="random, blind, output-aware, parameter-aware; one or more. \\[default: all]"),
    ] = None,
    unlearner: Annotated[
        list[str] | None, typer.Option(help="retrain, sisa, fisher, influence; one or more. \\[default: all]")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where report.html and report.json go.")] = Path("unscathed-demo"),
) -> None:
    """Attack a model trained with a reserve, unlearn four ways, heal, audit against gold, and write a report."""
    # Imported here, so that --help and mistakes answer at once.
    from unscathed.lab.demo import ADVERSARIES, UNLEARNERS, Demo, check_names, write
    from unscathed.lab.report import missing_extras, summary_table
    from unscathed.lab.setups import setup
    from unscathed.training import Progress

    started = time.perf_counter()
    with told():
        problems = Problems("cannot run the demo")
        check_names(problems, adversary or (), unlearner or ())
        problems.extend(missing_extras())
        # Asked of the nearest folder that is there, so that a mistake leaves no new folder behind.
        nearest = next(folder for folder in (out.resolve(), *out.resolve().parents) if folder.exists())
        problems.require(
            nearest.is_dir() and os.access(nearest, os.W_OK),
            f"--out {out} cannot be written: {nearest} is not a folder that you may write to",
        )
        problems.raise_any()
        console.print(f"[dim]loading {dataset}[/dim]")
        chosen = setup(dataset, data, seed=seed)
        with Progress(console) as progress:
            run = Demo(
                chosen,
                adversaries=adversary or ADVERSARIES,
                unlearners=unlearner or tuple(UNLEARNERS),
                seed=seed,
                callbacks=[progress],
                say=lambda what: console.print(f"[dim]{time.perf_counter() - started:6.1f} s[/dim]  {what}"),
            )
            results = run.run(save=lambda so_far: write(so_far, out))
    console.print()
    Console(width=max(TABLE_WIDTH, console.width)).print(summary_table(results))
    for note in results.notes:
        console.print(f"[dim]note[/dim] {note}")
    console.print(
        f"\nDone in {time.perf_counter() - started:.0f} s. Open the report: [bold]{out / 'report.html'}[/bold]"
    )
    console.print(f"The figures as data: {out / 'report.json'}")
