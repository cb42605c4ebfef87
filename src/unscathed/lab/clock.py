"""Clock: what a piece of work costs, in wall and processor seconds and in memory."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from types import TracebackType

import torch

from unscathed.lab.store import Made

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


class Clock:
    """Measures what happens within: ``with Clock() as clock: …``, then ``clock.made(…)``."""

    def __enter__(self) -> Clock:
        _forget_peak()
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds, self.cpu_seconds = time.perf_counter() - self._wall, time.process_time() - self._cpu
        self.peak_memory = _peak()

    def made(self, **details: object) -> Made:
        """The cost, with details to keep beside it."""
        return Made(self.seconds, self.cpu_seconds, self.peak_memory, torch.get_num_threads(), dict(details))


def _forget_peak() -> None:
    """Start the peak anew where the system can (Linux); elsewhere it is that of the process's whole life."""
    try:
        _RESET.write_text("5")
    except OSError:
        return


def _peak() -> int:
    try:
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
