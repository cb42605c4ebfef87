"""Callbacks: progress and history hang on these hooks, so that the training loop stays a loop."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from torch import Tensor


class Callback:
    """Hooks that do nothing; override what you need. Jobs may nest (SISA trains shards)."""

    def on_start(self, what: str, steps: int) -> None:
        """A job of so many steps begins."""

    def on_step(self, step: int, loss: Tensor | None = None) -> None:
        """A step (counted from 1) is done; ``loss`` is its mean loss, on the device, where there is one."""

    def on_end(self) -> None:
        """The job that began last is over (it may have failed)."""


class LossHistory(Callback):
    """Keeps the mean loss of every step, in ``losses`` (floats)."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []

    def on_step(self, step: int, loss: Tensor | None = None) -> None:
        """Keep it, without waiting for the device."""
        if loss is not None:
            self._losses.append(loss.detach())

    @property
    def losses(self) -> list[float]:
        """The losses so far."""
        return [float(loss) for loss in self._losses]


class Progress(Callback):
    """Shows each job's progress on the terminal. Use as a context manager, or leave it to draw line by line.

    Args:
        console: where to draw; standard error by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._progress = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,  # a file has no line to draw over
        )
        self._jobs: list[int] = []

    def __enter__(self) -> Progress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_start(self, what: str, steps: int) -> None:
        """Add a bar."""
        self._progress.start()
        self._jobs.append(self._progress.add_task(what, total=steps))

    def on_step(self, step: int, loss: Tensor | None = None) -> None:
        """Move the newest bar."""
        if self._jobs:
            self._progress.update(self._jobs[-1], completed=step)  # type: ignore[arg-type]

    def on_end(self) -> None:
        """Remove the newest bar."""
        if self._jobs:
            self._progress.remove_task(self._jobs.pop())  # type: ignore[arg-type]
        if not self._jobs:
            self._progress.stop()
