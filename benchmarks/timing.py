"""Timing contenders fairly: in turns, on one machine, with medians and peak memory."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

Name = TypeVar("Name", bound=Hashable)


def in_turns(contenders: Mapping[Name, Callable[[], object]], repeats: int) -> dict[Name, list[float]]:
    """Seconds of each contender, run one after the other so many times, so that all meet the same disturbances."""
    seconds: dict[Name, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            finish()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def finish() -> None:
    """Wait for an accelerator, which is told what to do and does it later."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def medians(seconds: Mapping[Name, list[float]]) -> dict[Name, float]:
    """The median of each."""
    return {name: statistics.median(times) for name, times in seconds.items()}


def ratio(over: list[float], under: list[float]) -> dict[str, float]:
    """The ratio of medians, and the smallest and largest ratio of a single turn."""
    turns = [a / b for a, b in zip(over, under, strict=True)]
    return {"median": statistics.median(over) / statistics.median(under), "least": min(turns), "most": max(turns)}


def peak_memory(prepare: Callable[..., Callable[[], object]], *arguments: Any) -> float:
    """MiB by which a fresh process grows at most while it runs what ``prepare(*arguments)`` returned.

    Where there is a CUDA device, it is the device's memory that counts.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_watch, args=(theirs, prepare, arguments))
    process.start()
    theirs.close()
    try:
        grown: float = ours.recv()
    except EOFError as error:
        raise RuntimeError(f"{prepare} with {arguments} failed in its own process") from error
    finally:
        process.join()
    return grown


def _watch(pipe: Any, prepare: Callable[..., Callable[[], object]], arguments: tuple[Any, ...]) -> None:
    run = prepare(*arguments)
    before = _peak(reset=True)
    run()
    pipe.send(_peak() - before)


def _peak(*, reset: bool = False) -> float:
    """The peak of memory in use, MiB; reset, it starts again from what is in use (on Linux and CUDA devices)."""
    if torch.cuda.is_available():
        if reset:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated() / 2**20
    if reset and sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")
    if sys.platform == "linux":
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
