"""The command line: parse, call, print."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from unscathed.lab import running
from unscathed.lab.commands import lab
from unscathed.lab.terminal import NO_VERDICT, Judging, ManyValues, Speaking
from unscathed.problems import Problems

app = typer.Typer(
    help="Machine unlearning that leaves the model whole.", cls=Speaking, no_args_is_help=True, add_completion=False
)
app.add_typer(lab, name="lab")
console = Console()
errors = Console(stderr=True)
CODES = {"pass": 0, "fail": 1, "not enough evidence": 2}
EXIT_CODES = f"Exit code: 0 pass, 1 fail, 2 not enough evidence; {NO_VERDICT} where there is no verdict, and why."
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


@app.command(cls=Judging, epilog=EXIT_CODES)
def audit(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A folder that Trained.save wrote, or a state dict (.safetensors)."),
    ],
    forget: Annotated[
        str, typer.Option(help="Ids it should have forgotten: with commas between, or a file with one a line.")
    ],
    out: Annotated[Path, typer.Option(help="Where verdict.json and report.html go.")] = Path("unscathed-audit"),
    dataset: Annotated[
        str | None,
        typer.Option(help="A data set of the lab, with its default model, or an image folder.", show_default=False),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The data set's files.", show_default=False)] = None,
    task: Annotated[
        str | None, typer.Option(help="package.module:name of a Task, or of what makes one.", show_default=False)
    ] = None,
    samples: Annotated[
        str | None, typer.Option(help="package.module:name of the training Samples.", show_default=False)
    ] = None,
    test: Annotated[str | None, typer.Option(help="The same of test samples.", show_default=False)] = None,
    unseen: Annotated[
        str | None, typer.Option(help="The same of samples that no model here was trained on.", show_default=False)
    ] = None,
    reserve: Annotated[
        float | None,
        typer.Option(help="Held back by --seed (a share or a number), where no record says.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of that split and of what is trained here.", min=0, max=2**32 - 1)] = 0,
    gold: Annotated[
        list[Path] | None,
        typer.Option(help="The model retrained without the forgotten; more, of other seeds.", show_default=False),
    ] = None,
    original: Annotated[
        list[Path] | None,
        typer.Option(help="The model before unlearning; more, of other seeds, for --like.", show_default=False),
    ] = None,
    like: Annotated[
        list[Path] | None,
        typer.Option(help="A model made the same way from another seed: margins over all (KLOM).", show_default=False),
    ] = None,
    shadows: Annotated[
        int, typer.Option(help="Shadow models to train, for membership sample by sample (16 say much).", min=0)
    ] = 0,
    attack: Annotated[
        list[str] | None,
        typer.Option(help="With shadow models: rmia, lira, or both. \\[default: rmia]", show_default=False),
    ] = None,
    relearning: Annotated[
        bool, typer.Option("--relearning", help="Measure how soon the forgotten are relearned.")
    ] = False,
    recipe: Annotated[
        str | None,
        typer.Option(help="Of training, as JSON or a file of it, where no record says.", show_default=False),
    ] = None,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(help="name=value; one or more: utility, forgetting, membership …", show_default=False),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where shadow models are kept. \\[default: shadows in OUT]", show_default=False)
    ] = None,
) -> None:
    """Audit a model made by anything: is it whole, and is the data gone?"""
    from unscathed.lab.auditing import AuditRequest, audit_model, shown
    from unscathed.training import Progress

    folder = str(Path.cwd())
    if folder not in sys.path:  # so that --task mine:make finds mine.py here
        sys.path.append(folder)
    request = AuditRequest(
        model=model, forget=forget, out=out, dataset=dataset, data=data, task=task, samples=samples, test=test,
        unseen=unseen, reserve=reserve, seed=seed, gold=tuple(gold or ()), original=tuple(original or ()),
        like=tuple(like or ()), attack=tuple(attack or ()), recipe=recipe,
        shadows=shadows, relearning=relearning, tolerance=tuple(tolerance or ()), cache=cache,
    )  # fmt: skip
    try:
        with Progress() as progress:
            found = audit_model(request, callbacks=[progress], say=lambda text: errors.print(f"{text} …", style="dim"))
    except KeyboardInterrupt:
        errors.print("\nInterrupted; shadow models that were finished are kept. The same command goes on.")
        raise typer.Exit(130) from None
    console.print(shown(found), highlight=False)
    console.print(f"\nThe page: [bold]{found.page}[/bold], as data: {found.json}", highlight=False, soft_wrap=True)
    if shadows:
        console.print(
            f"The shadow models in {request.shadows_folder} were trained on the forgotten too, and their records name "
            "ids: delete them when the audit is done.",
            highlight=False,
            soft_wrap=True,
        )
    if CODES[found.outcome]:
        raise typer.Exit(CODES[found.outcome])
