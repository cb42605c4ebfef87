"""Board: shows how far a run is: the whole grid, what runs now, what is left, and when it will end."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import datetime, timedelta
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from torch import Tensor

from unscathed.lab.plan import Job, Plan
from unscathed.lab.runner import Report, Watcher
from unscathed.lab.work import Measurement
from unscathed.training import Callback

QUIET = 1.0
"""Seconds between two lines about jobs that took less."""


class Board(Watcher):
    """Draws over itself on a terminal; elsewhere it prints a line for jobs that took long, and now and then for others.

    Args:
        console: where.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.steps = Steps()
        self._running: dict[Job, float] = {}
        self._plan: Plan | None = None
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._left: defaultdict[str, int] = defaultdict(int)
        self._done = self._failed = 0
        self._printed = 0.0
        self._live = Live(get_renderable=self._draw, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def on_plan(self, plan: Plan, workers: int) -> None:
        """Show the board."""
        self._plan, self._workers, self._started = plan, workers, time.monotonic()
        for job in plan.jobs:
            self._left[_kind(job)] += 1
        if self.console.is_terminal:
            self._live.start()

    def on_start(self, job: Job) -> None:
        """Show it among those that run."""
        self._running[job] = time.monotonic()

    def on_end(self, job: Job, report: Report) -> None:
        """Count it."""
        self._running.pop(job, None)
        self._left[_kind(job)] -= 1
        self._done += 1
        self._failed += bool(report.error)
        if not report.error:
            self._seconds[_kind(job)].append(report.seconds)
        if report.error:
            self.console.print(Text.assemble(("failed ", "bold red"), f"{job}: {report.error}"))
        elif not self.console.is_terminal and self._plan is not None and self._worth_a_line(report):
            self.console.print(
                f"{self._done:4}/{len(self._plan.jobs)} {report.seconds:7.1f} s  {job}", highlight=False, soft_wrap=True
            )

    def _worth_a_line(self, report: Report) -> bool:
        """A line every few seconds is news; a thousand lines of jobs that took no time are none."""
        now = time.monotonic()
        if report.seconds < QUIET and now - self._printed < QUIET and self._plan and self._done < len(self._plan.jobs):
            return False
        self._printed = now
        return True

    @property
    def seconds_left(self) -> float | None:
        """About how long the rest takes; None before every kind of work has been done once."""
        if any(count > 0 and not self._seconds[kind] for kind, count in self._left.items()):
            return None
        rest = sum(count * _mean(self._seconds[kind]) for kind, count in self._left.items() if count > 0)
        now = time.monotonic()
        under_way = sum(min(now - since, _mean(self._seconds[_kind(job)])) for job, since in self._running.items())
        return max(0.0, rest - under_way) / self._workers

    def _draw(self) -> RenderableType:
        if self._plan is None:
            return Text("")
        passed = time.monotonic() - self._started
        left = self.seconds_left
        end = "" if left is None else f", about {_span(left)} left (until {_clock(left)})"
        total = len(self._plan.jobs)
        head = Table.grid(padding=(0, 1))
        head.add_row(
            ProgressBar(total=total, completed=self._done, width=30),
            Text(f"{self._done} of {total} jobs, {_span(passed)}{end}"),
            Text(f"{self._failed} failed" if self._failed else "", style="bold red"),
        )
        rows = [
            Text(f"  {_span(time.monotonic() - since):>8}  {job}", style="dim", no_wrap=True, overflow="ellipsis")
            for job, since in self._running.items()
        ]
        return Group(head, *rows, *self.steps.lines())


class Steps(Callback):
    """How far the training is that runs in this process: lines for `Board`."""

    def __init__(self) -> None:
        self._jobs: list[tuple[str, int, int]] = []

    def on_start(self, what: str, steps: int) -> None:
        """A line more."""
        self._jobs.append((what, 0, steps))

    def on_step(self, step: int, loss: Tensor | None = None) -> None:
        """Move the newest line."""
        if self._jobs:
            what, _, steps = self._jobs[-1]
            self._jobs[-1] = (what, step, steps)

    def on_end(self) -> None:
        """A line less."""
        if self._jobs:
            self._jobs.pop()

    def lines(self) -> list[RenderableType]:
        """The lines, innermost last."""
        lines: list[RenderableType] = []
        for what, step, steps in list(self._jobs):
            line = Table.grid(padding=(0, 1))
            line.add_row(" " * 9, ProgressBar(total=steps, completed=step, width=20), f"{what} {step}/{steps}")
            lines.append(line)
        return lines


def _kind(job: Job) -> str:
    """What takes about as long as what: the same kind of work, on the same data, by the same method."""
    if isinstance(job, Measurement):
        return f"{job.stage} {job.setting.dataset} {job.healer}"
    setting = getattr(job, "setting", None)
    return f"{job.kind} {setting.dataset if setting else ''} {getattr(job, 'unlearner', '')}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _span(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _clock(seconds: float) -> str:
    return (datetime.now() + timedelta(seconds=seconds)).strftime("%H:%M")
