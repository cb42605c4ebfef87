"""Commands that do experiments: ``run``, ``check`` and ``cache``."""

from __future__ import annotations

import re
import signal
import time
from collections import defaultdict
from concurrent.futures import Executor
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unscathed.executors import InProcess, Local, Ray
from unscathed.lab.store import Store
from unscathed.problems import BadInputError, Problems

console = Console()
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The experiment, a TOML file.", show_default=False)]
OutOption = Annotated[
    Path | None, typer.Option(help="The results folder; by default FILE's name without .toml.", show_default=False)
]
WorkersOption = Annotated[int, typer.Option(help="Worker processes; 1 runs everything in this one.", min=1)]
CacheOption = Annotated[Path | None, typer.Option("--cache", help="The cache of shared work.", show_default=False)]
LimitOption = Annotated[str, typer.Option("--limit", help="The cache's size, e.g. 500M, 20G.")]


def run(
    file: FileArgument,
    out: OutOption = None,
    workers: WorkersOption = 1,
    threads: Annotated[
        int | None, typer.Option(help="Threads of each worker; by default the cores are shared out.", min=1)
    ] = None,
    executor: Annotated[Literal["local", "ray"], typer.Option(help="Where workers run.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster; by default one is started here.", show_default=False)
    ] = None,
    cache: CacheOption = None,
    limit: LimitOption = "20G",
    update: Annotated[
        bool, typer.Option("--update", help="Measure again what other versions of the code did.")
    ] = False,
) -> None:
    """Do what is missing of an experiment. Interrupted or killed, run it again: it goes on where it was."""
    from unscathed.lab.board import Board
    from unscathed.lab.experiment import Experiment
    from unscathed.lab.runner import run as run_experiment

    experiment = Experiment.from_file(found(file))
    results = out or file.with_suffix("")
    store = Store(cache, limit=size(limit))
    place = executor_of(executor, workers, threads, address)
    # A polite kill ends like Ctrl-C, so that workers end too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Board(console) as board:
            own = isinstance(place, InProcess)
            outcome = run_experiment(
                experiment,
                results,
                store=store,
                executor=place,
                watcher=board,
                callbacks=[board.steps] if own else [],
                update=update,
            )
    except KeyboardInterrupt:
        console.print(f"\nInterrupted; nothing that was finished is lost. Go on with: unscathed lab run {file}")
        raise typer.Exit(130) from None
    finally:
        place.shutdown(wait=False, cancel_futures=True)
    total = outcome.measured + outcome.there
    console.print(
        f"{total} measurements in {results}: {outcome.measured} made now, {outcome.there} there before, "
        f"in {outcome.seconds:.1f} s.",
        highlight=False,
    )
    if outcome.failures:
        console.print(
            Text(f"{len(outcome.failures)} jobs failed; tracebacks are in {results / 'failures'}", "bold red")
        )
        raise typer.Exit(1)


def check(
    file: FileArgument,
    out: OutOption = None,
    workers: WorkersOption = 1,
    cache: CacheOption = None,
    pilot: Annotated[bool, typer.Option(help="Estimate the time from some seconds of training.")] = True,
) -> None:
    """Read an experiment, count what it takes, and estimate its time on this machine."""
    from unscathed.lab.estimate import estimate
    from unscathed.lab.experiment import Experiment
    from unscathed.lab.plan import Plan

    experiment = Experiment.from_file(found(file))
    store = Store(cache)
    plan = Plan.of(experiment, store, out or file.with_suffix(""))
    seeds = ", ".join(map(str, experiment.seeds))
    console.print(f"[bold]{experiment.name}[/bold]: {len(experiment.cells)} cells, seeds {seeds}", highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "to do", "there"):
        table.add_column(heading, justify="left" if not heading else "right")
    done = len(plan.measurements) - len(plan.missing)
    table.add_row("measurements", str(len(plan.missing)), str(done))
    kinds: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for position, works in enumerate((plan.shared, plan.found)):
        for work in works:
            kinds[work.kind][position] += 1
    for kind, (to_do, there) in kinds.items():
        table.add_row(f"shared: {kind}", str(to_do), str(there))
    console.print(table)
    if not plan.jobs:
        console.print("Everything is there.")
    elif pilot:
        with console.status("a pilot of each setting"):
            seconds = estimate(plan, store, workers)
        console.print(
            f"About {timedelta(seconds=round(seconds))} with {workers} worker{'s' if workers > 1 else ''} "
            "on this machine (from a pilot of some seconds; other programs' load not counted)."
        )


def cache(
    cache: CacheOption = None,
    clean: Annotated[bool, typer.Option("--clean", help="Remove what the other options name; alone, all.")] = False,
    kind: Annotated[str | None, typer.Option(help="Only this kind of work.", show_default=False)] = None,
    unused: Annotated[
        float | None, typer.Option(help="Only what was not used for so many days.", show_default=False)
    ] = None,
    limit: Annotated[
        str | None, typer.Option(help="Only as much as exceeds this size, longest unused first.", show_default=False)
    ] = None,
) -> None:
    """Look at the cache of shared work, or clean it."""
    store = Store(cache)
    entries = list(store.entries())
    problems = Problems("cannot clean the cache")
    kinds = sorted({e.kind for e in entries})
    problems.require(kind is None or kind in kinds, f"it holds no {kind!r}; it holds {', '.join(kinds) or 'nothing'}")
    problems.require(clean or (kind, unused, limit) == (None, None, None), "options name what to remove; add --clean")
    problems.raise_any()
    if not clean:
        _show(store)
        return
    if limit is not None:
        gone = store.shrink(size(limit))
    else:
        since = time.time() - (unused or 0) * 86400
        gone = [e for e in entries if (kind is None or e.kind == kind) and (unused is None or e.used < since)]
        for entry in gone:
            store.remove(entry.folder)
    store.tidy()
    console.print(
        f"Removed {len(gone)} piece{'' if len(gone) == 1 else 's'} of work, {_size(sum(e.size for e in gone))}.",
        highlight=False,
    )


def found(file: Path) -> Path:
    """The file itself, or the built-in experiment of its name (``demo``)."""
    built_in = Path(str(files("unscathed.lab").joinpath(f"experiments/{file}.toml")))
    return built_in if not file.exists() and built_in.is_file() else file


def executor_of(name: str, workers: int, threads: int | None, address: str | None) -> Executor:
    """The executor that options name.

    Raises:
        BadInputError: they contradict each other, or the cluster is not there.
    """
    problems = Problems("cannot start workers")
    problems.require(address is None or name == "ray", "--address is of a Ray cluster; add --executor ray")
    problems.raise_any()
    if name == "ray":
        return Ray(workers, threads=threads, address=address)
    return Local(workers, threads=threads) if workers > 1 or threads else InProcess()


def size(text: str) -> int:
    """Bytes, as people write them: ``500M``, ``20G``.

    Raises:
        BadInputError: it is no such thing.
    """
    found = re.fullmatch(r"([0-9.]+) ?([KMGT]?)i?B?", text.strip(), flags=re.IGNORECASE)
    try:
        assert found is not None
        return int(float(found[1]) * UNITS[found[2].upper()])
    except (AssertionError, ValueError):
        raise BadInputError("cannot read the size", [f"{text!r} is none; write e.g. 500M or 20G"]) from None


def _show(store: Store) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("kind", "pieces", "size", "took", "last used"):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    by_kind = defaultdict(list)
    for entry in store.entries():
        by_kind[entry.kind].append(entry)
    for kind, entries in sorted(by_kind.items()):
        seconds = sum(e.made.seconds for e in entries if e.made is not None)
        used = timedelta(seconds=round(time.time() - max(e.used for e in entries)))
        total = _size(sum(e.size for e in entries))
        table.add_row(kind, str(len(entries)), total, str(timedelta(seconds=round(seconds))), f"{used} ago")
    everything = [e for entries in by_kind.values() for e in entries]
    console.print(f"{store.folder}: {_size(sum(e.size for e in everything))} of {_size(store.limit)}", highlight=False)
    console.print(table if everything else "It is empty.")


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError
