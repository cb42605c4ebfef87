"""Executors: where independent jobs run. All are `concurrent.futures.Executor`, so any other one serves as well.

Jobs must not depend on where they run: each worker computes with a fixed number of threads, so that workers do not
fight over cores, and with the same number every executor gives the same results, to the bit.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any, ParamSpec, TypeVar

import torch

from unscathed.problems import BadInputError, Problems

P = ParamSpec("P")
T = TypeVar("T")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
REACH_SECONDS = 5.0
"""How long a cluster may take to answer; Ray itself tries for minutes, and then ends the process."""


class InProcess(Executor):
    """Runs each job at once, in this process, with all its threads."""

    workers = 1

    def __repr__(self) -> str:
        return "InProcess()"

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the job; an error is kept in the future, an interrupt is not."""
        future: Future[T] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Local(Executor):
    """Worker processes on this machine; a worker that dies takes only running jobs with it, never the executor.

    Args:
        workers: how many; by default one a core.
        threads: of each; by default the cores are shared out evenly.

    Raises:
        BadInputError: counts that are not positive.
    """

    def __init__(self, workers: int | None = None, *, threads: int | None = None) -> None:
        self.workers, self.threads = _shares(workers, threads)
        self._pool: Executor | None = None

    def __repr__(self) -> str:
        return f"Local({self.workers}, threads={self.threads})"

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a job. Its future holds a `BrokenExecutor` where its worker died."""
        if self._pool is None:
            self._pool = self._start()
        try:
            return self._pool.submit(function, *args, **kwargs)
        except BrokenExecutor:
            self._pool = self._start()
            return self._pool.submit(function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers; with ``cancel_futures`` at once, whatever they do."""
        if self._pool is not None:
            self._pool.shutdown(wait=wait, kill_workers=cancel_futures)  # type: ignore[call-arg]
            self._pool = None

    def _start(self) -> Executor:
        from loky import ProcessPoolExecutor

        environment = _environment(self.threads)
        pool: Executor = ProcessPoolExecutor(
            self.workers, initializer=_begin, initargs=(self.threads, os.getpid()), env=environment
        )
        return pool


class Ray(Executor):
    """Actors on a Ray cluster; what they read and write must be on a file system that all of them share.

    Args:
        workers: how many actors.
        threads: of each; Ray places actors by it. By default this machine's cores are shared out evenly.
        address: of the cluster; by default one is started on this machine.

    Raises:
        BadInputError: Ray is not installed, the cluster cannot be reached, or counts are not positive.
    """

    def __init__(self, workers: int | None = None, *, threads: int | None = None, address: str | None = None) -> None:
        self.workers, self.threads = _shares(workers, threads)
        self.address = address
        problems = Problems("cannot use Ray")
        try:
            import ray
        except ImportError:
            problems.require(False, "ray is missing; pip install 'unscathed[ray]'")
        problems.raise_any()
        self._ray = ray
        self._started = not ray.is_initialized()
        if self._started:
            problems.require(address is None or _answers(address), f"no cluster answers at {address!r}")
            problems.raise_any()
            # A cluster of our own has room for all workers, however many threads each has.
            room: dict[str, Any] = (
                {} if address else {"num_cpus": self.workers * self.threads, "include_dashboard": False}
            )
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **room)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise BadInputError("cannot use Ray", [f"no cluster at {address!r} ({error})"]) from error
        self._actor = ray.remote(_Worker)
        self._idle = [self._new_actor() for _ in range(self.workers)]
        self._load: Counter[Any] = Counter()

    def __repr__(self) -> str:
        return f"Ray({self.workers}, threads={self.threads}, address={self.address!r})"

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a job with the least busy actor. Its future holds a `BrokenExecutor` where the actor died."""
        position = min(range(self.workers), key=lambda p: self._load[self._idle[p]])
        actor = self._idle[position]
        self._load[actor] += 1
        future: Future[T] = Future()

        def done(answered: Future[Any]) -> None:
            self._load[actor] -= 1
            error = answered.exception()
            if error is None:
                future.set_result(answered.result())
            elif isinstance(error, self._ray.exceptions.RayActorError):
                if self._idle[position] is actor:
                    self._idle[position] = self._new_actor()
                future.set_exception(BrokenExecutor(f"a Ray actor died: {str(error).splitlines()[0]}"))
            else:
                future.set_exception(getattr(error, "cause", None) or error)

        # Ray pickles functions of any module by value where it must; a closure reaches the actor like any object.
        actor.run.remote(function, args, kwargs).future().add_done_callback(done)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the actors, and the cluster if it was started here."""
        for actor in self._idle:
            self._ray.kill(actor)
        self._idle = []
        if self._started:
            self._ray.shutdown()

    def _new_actor(self) -> Any:
        environment = _environment(self.threads)
        return self._actor.options(num_cpus=self.threads, runtime_env={"env_vars": environment}).remote(self.threads)


class _Worker:
    """What runs in a Ray actor."""

    def __init__(self, threads: int) -> None:
        _use_threads(threads)

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return function(*args, **kwargs)


def _environment(threads: int) -> dict[str, str]:
    """What libraries read when they are loaded, before any code of ours."""
    return {
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        # Threads that spin while they wait slow down everyone else on the cores many times over.
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def _answers(address: str) -> bool:
    """Whether something listens at ``host:port``; other addresses (``"auto"``) are Ray's to judge."""
    found = re.fullmatch(r"(?:ray://)?(.+):(\d+)", address)
    if found is None:
        return True
    try:
        with socket.create_connection((found[1], int(found[2])), timeout=REACH_SECONDS):
            return True
    except OSError:
        return False


def _begin(threads: int, parent: int) -> None:
    """What a local worker does first."""
    from loky import process_executor

    _use_threads(threads)
    # loky replaces workers that grow; ours keep data in memory on purpose.
    process_executor._MAX_MEMORY_LEAK_SIZE = float("inf")
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Wait for the parent to die, which may be killed without a word, and die too: nobody wants the result."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _use_threads(threads: int) -> None:
    torch.set_num_threads(threads)


def _shares(workers: int | None, threads: int | None) -> tuple[int, int]:
    problems = Problems("cannot start workers")
    for name, value in (("workers", workers), ("threads", threads)):
        problems.require(value is None or value >= 1, f"{name}={value} must be at least 1")
    problems.raise_any()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = workers or cores
    return workers, threads or max(1, cores // workers)
