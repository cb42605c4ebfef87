"""Runner: does a plan's jobs on an executor, and loses nothing when something goes wrong."""

from __future__ import annotations

import errno
import heapq
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from unscathed.executors import InProcess
from unscathed.lab.checks import check_settings
from unscathed.lab.experiment import Experiment
from unscathed.lab.plan import Job, Plan, is_current, missing_of
from unscathed.lab.provenance import COMMAND, command
from unscathed.lab.store import Store
from unscathed.lab.work import Bench, Measurement, Work
from unscathed.lab.work.measurement import MEASUREMENTS, PAIRS
from unscathed.problems import BadInputError, Problems, UnscathedError
from unscathed.training import Callback
from unscathed.training.checkpoint import write_atomically

FAILURES, JOURNAL, COPY = "failures", "journal.jsonl", "experiment.toml"
"""What a results folder holds besides measurements and twins."""
MEASUREMENT = "measurement"
"""What the journal calls a measurement, beside the kinds of shared work."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskFullError(UnscathedError):
    """There is no room for results; what was finished is safe."""


_FULL_DISK = (
    "the disk is full ({}). Nothing that was finished is lost: make room, and run the same command again; "
    "`unscathed lab cache` shows what the cache takes, and cleans it"
)


Done = tuple[str, str, str, float]
"""A piece of work: its kind, its key, what it is in words, and the seconds it took."""


@dataclass(frozen=True)
class Site:
    """Where jobs are done and their results go, as a worker is told it.

    Args:
        store: the cache's folder.
        limit: its size, bytes.
        results: the results folder.
        experiment: the experiment's name.
        imports: folders that a user's own components are imported from.
        command: what started the run.
    """

    store: str
    limit: int
    results: str
    experiment: str
    imports: tuple[str, ...]
    command: str


@dataclass(frozen=True)
class Report:
    """What became of a job.

    Args:
        seconds: it took.
        did: every piece of work done for it.
        error: in one line; empty where all went well.
        trace: the traceback of the error.
        full: whether the disk was full.
    """

    seconds: float
    did: tuple[Done, ...] = ()
    error: str = ""
    trace: str = ""
    full: bool = False


@dataclass
class Outcome:
    """How a run went.

    Args:
        measured: measurements made now.
        there: measurements that were there before.
        failures: what failed, and why.
        seconds: of the whole run.
        computed: pieces of shared work done, by kind.
    """

    measured: int = 0
    there: int = 0
    failures: dict[Job, Report] = field(default_factory=dict)
    seconds: float = 0.0
    computed: dict[str, int] = field(default_factory=dict)

    def count(self, report: Report) -> None:
        """Count what was done for a job."""
        for kind, *_ in report.did:
            if kind != MEASUREMENT:
                self.computed[kind] = self.computed.get(kind, 0) + 1


class Watcher:
    """Hooks that do nothing: a run tells it how far it is. Override what you need."""

    def on_plan(self, plan: Plan, workers: int) -> None:
        """A run begins."""

    def on_start(self, job: Job) -> None:
        """A job was handed to a worker."""

    def on_end(self, job: Job, report: Report) -> None:
        """A job is over."""


def run(
    experiment: Experiment,
    results: str | Path,
    *,
    store: Store | None = None,
    executor: Executor | None = None,
    watcher: Watcher | None = None,
    callbacks: Sequence[Callback] = (),
    update: bool = False,
) -> Outcome:
    """Do what is missing of an experiment. Interrupted, killed or failed, it goes on where it was when run again.

    Args:
        experiment: what to do.
        results: the folder that measurements go to; several runs may share it, also at the same time.
        store: of shared work; by default the user's cache.
        executor: where jobs run; by default in this process, one after the other.
        watcher: told how far it is.
        callbacks: progress of training; only jobs in this process can tell.
        update: whether what another version of the code measured is measured again.

    Raises:
        BadInputError: the results folder cannot be used, or models do not suit their data; all of it is named.
        DiskFullError: there is no room for results.
    """
    started = time.perf_counter()
    results, store, executor = Path(results), store or Store(), executor or InProcess()
    watcher = watcher or Watcher()
    _check_folder(results)
    site = Site(
        str(store.folder.resolve()),
        store.limit,
        str(results.resolve()),
        experiment.name,
        (str(experiment.folder),) if experiment.folder else (),
        command(),
    )
    outcome = Outcome()
    try:
        read = _read(missing_of(experiment, results, update), site)
        _prepare(results, experiment)
        plan = Plan.of(experiment, store, results, update=update)
        outcome.there = len(plan.measurements) - len(plan.missing)
        outcome.count(read)
        _append(results / JOURNAL, read)
        if plan.jobs:
            _Run(plan, site, executor, watcher, outcome, callbacks).go()
    except OSError as error:
        if error.errno in FULL:
            raise DiskFullError(_FULL_DISK.format(_one_line(error))) from error
        raise
    outcome.seconds = time.perf_counter() - started
    return outcome


class _Run:
    """The state of one run."""

    def __init__(
        self,
        plan: Plan,
        site: Site,
        executor: Executor,
        watcher: Watcher,
        outcome: Outcome,
        callbacks: Sequence[Callback],
    ) -> None:
        self.plan, self.site, self.executor, self.watcher, self.outcome = plan, site, executor, watcher, outcome
        self.workers = int(getattr(executor, "workers", 1))
        self.perform: Callable[[Job, Site], Report] = perform
        if isinstance(executor, InProcess):
            self.perform = lambda job, site: perform(job, site, callbacks)
        self.waiting = {job: set(before) for job, before in plan.jobs.items()}
        self.followers: dict[Job, list[Job]] = {job: [] for job in plan.jobs}
        for job, before in plan.jobs.items():
            for other in before:
                self.followers[other].append(job)
        self.ready: list[tuple[int, int, Job]] = []
        self.running: dict[Future[Report], Job] = {}
        self.suspects: list[Job] = []
        order = {job: position for position, job in enumerate(plan.jobs)}
        # What most measurements stand on comes first; among equals the order of the grid, so that what one cell
        # needs is still in memory for the next.
        self.rank = {job: (-plan.demand[job] if isinstance(job, Work) else 0, order[job]) for job in plan.jobs}

    def go(self) -> None:
        self.watcher.on_plan(self.plan, self.workers)
        for job, before in self.waiting.items():
            if not before:
                heapq.heappush(self.ready, (*self.rank[job], job))
        while self.ready or self.running or self.suspects:
            while self.ready and len(self.running) < self.workers:
                self._submit(heapq.heappop(self.ready)[-1])
            if not self.running and self.suspects:
                # A worker died. Alone, the job that kills it is found, and takes no other with it.
                self._submit(self.suspects.pop())
                self._finish(wait(self.running).done, alone=True)
            else:
                self._finish(wait(self.running, return_when=FIRST_COMPLETED).done)

    def _submit(self, job: Job) -> None:
        self.watcher.on_start(job)
        self.running[self.executor.submit(self.perform, job, self.site)] = job

    def _finish(self, done: set[Future[Report]], alone: bool = False) -> None:
        for future in done:
            job = self.running.pop(future)
            error = future.exception()
            if isinstance(error, BrokenExecutor) and not alone:
                self.suspects.append(job)
                continue
            if isinstance(error, BrokenExecutor):
                why = f"its worker died ({str(error).splitlines()[0]}); was there too little memory?"
                report = Report(0.0, error=why, trace=why)
            elif error is not None:
                report = Report(0.0, error=_one_line(error), trace="".join(traceback.format_exception(error)))
            else:
                report = future.result()
            self._note(job, report)
            self.watcher.on_end(job, report)
            if report.full:
                raise DiskFullError(_FULL_DISK.format(report.error))

    def _note(self, job: Job, report: Report) -> None:
        self.outcome.count(report)
        _append(Path(self.site.results) / JOURNAL, report, job)
        if report.error:
            self._fail(job, report)
            return
        del self.waiting[job]
        if isinstance(job, Measurement):
            self.outcome.measured += 1
            _failure(self.site, job).unlink(missing_ok=True)
        for other in self.followers[job]:
            if other in self.waiting:
                self.waiting[other].discard(job)
                if not self.waiting[other]:
                    heapq.heappush(self.ready, (*self.rank[other], other))

    def _fail(self, job: Job, report: Report) -> None:
        """Give up the job and all that stand on it; the rest goes on."""
        self.outcome.failures[job] = report
        lost: dict[Job, None] = {}
        stack = [job]
        while stack:
            one = stack.pop()
            if self.waiting.pop(one, None) is not None:
                lost[one] = None
                stack += self.followers[one]
        for one in lost:
            if isinstance(one, Measurement) and not report.full:
                content = {"cell": one.axes, "work": str(job), "error": report.error, "traceback": report.trace}
                write_atomically(_failure(self.site, one), json.dumps(content, indent=1).encode())


def perform(job: Job, site: Site, callbacks: Sequence[Callback] = ()) -> Report:
    """Do one job, in whichever process; what goes wrong is reported, not raised."""
    started = time.perf_counter()
    bench = _bench(site)
    bench.callbacks = callbacks
    did = _listening(bench)
    error, trace, full = "", "", False
    try:
        if isinstance(job, Measurement):
            _measure(job, bench, site, did)
        else:
            bench.obtain(job)
    except Exception as caught:
        error, trace = _one_line(caught), traceback.format_exc()
        full = isinstance(caught, OSError) and caught.errno in FULL
    return Report(time.perf_counter() - started, tuple(did), error, trace, full)


def _measure(job: Measurement, bench: Bench, site: Site, did: list[Done]) -> None:
    """Measure, unless another run of the same grid has done so meanwhile."""
    started, results = time.perf_counter(), Path(site.results)
    with bench.store.lock(job.name):
        if not is_current(job.path(results)):
            job.write(bench, results, site.experiment)
            did.append((MEASUREMENT, job.name, str(job), time.perf_counter() - started))


def _read(measurements: Sequence[Measurement], site: Site) -> Report:
    """Read the data that is missing, and see that models suit it."""
    started = time.perf_counter()
    bench = _bench(site)
    did = _listening(bench)
    try:
        check_settings(measurements, bench)
    except (BadInputError, OSError):
        raise
    except Exception as error:
        # A user's own component may fail in any way; its traceback is what helps.
        raise UnscathedError(f"cannot run the experiment: {_one_line(error)}\n{traceback.format_exc()}") from error
    return Report(time.perf_counter() - started, tuple(did))


def _listening(bench: Bench) -> list[Done]:
    """A list that what is done at the bench from now on goes to."""
    did: list[Done] = []
    bench.did = lambda work, made: did.append((work.kind, work.key, str(work), made.seconds))
    return did


@cache
def _bench(site: Site) -> Bench:
    """This process's bench: what one job read, the next finds in memory."""
    os.environ[COMMAND] = site.command
    sys.path.extend(folder for folder in site.imports if folder not in sys.path)
    return Bench(Store(site.store, limit=site.limit))


def _check_folder(results: Path) -> None:
    """Ask the nearest folder that is there, so that a mistake leaves no new folder behind."""
    problems = Problems(f"cannot write results to {results}")
    nearest = next(folder for folder in (results.resolve(), *results.resolve().parents) if folder.exists())
    problems.require(
        nearest.is_dir() and os.access(nearest, os.W_OK), f"{nearest} is not a folder that you may write to"
    )
    problems.raise_any()


def _prepare(results: Path, experiment: Experiment) -> None:
    for name in (MEASUREMENTS, PAIRS, FAILURES):
        (results / name).mkdir(parents=True, exist_ok=True)
    if experiment.source:
        write_atomically(results / COPY, experiment.source.encode())
    for stale in (results / FAILURES).glob("*.json"):
        # What failed is tried again, and fails again or does not.
        stale.unlink(missing_ok=True)


def _failure(site: Site, measurement: Measurement) -> Path:
    return Path(site.results) / FAILURES / f"{measurement.name}.json"


def _append(journal: Path, report: Report, job: Job | None = None) -> None:
    """A line for each piece of work done, and one for what failed; lines of several processes do not mix."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entries: list[dict[str, Any]] = [
        {"time": now, "kind": kind, "key": key, "what": what, "seconds": round(seconds, 3)}
        for kind, key, what, seconds in report.did
    ]
    if report.error:
        entries.append({"time": now, "kind": "failure", "what": str(job), "error": report.error})
    with journal.open("a") as file:
        file.write("".join(json.dumps(entry) + "\n" for entry in entries))


def _one_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
