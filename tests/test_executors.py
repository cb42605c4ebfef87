import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import one_thread
from unscathed import BadInputError
from unscathed.executors import InProcess, Local, Ray


def product(seed: int) -> torch.Tensor:
    numbers = torch.randn(300, 300, generator=torch.Generator().manual_seed(seed))
    return (numbers @ numbers).sum(dim=0)


def threads() -> int:
    return torch.get_num_threads()


def fail() -> None:
    raise BadInputError("cannot do it", ["it is wrong"])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_cluster_that_is_not_there() -> None:
    pytest.importorskip("ray")
    with pytest.raises(BadInputError, match="no cluster answers at"):
        Ray(1, address="127.0.0.1:1")


@pytest.fixture(scope="module", params=["in-process", "local", "ray"])
def executor(request: pytest.FixtureRequest) -> Iterator[Any]:
    made: Executor
    if request.param == "ray":
        pytest.importorskip("ray")
        made = Ray(2, threads=1)
    else:
        made = InProcess() if request.param == "in-process" else Local(2, threads=1)
    yield made
    made.shutdown(cancel_futures=True)


def test_jobs_give_the_same_bits_everywhere(executor: Executor) -> None:
    with one_thread():
        expected = [product(seed) for seed in range(4)]
        assert all(torch.equal(a, b) for a, b in zip(executor.map(product, range(4)), expected, strict=True))


def test_closures_travel(executor: Executor) -> None:
    scale = 3
    assert executor.submit(lambda x: scale * x, 2).result() == 6


def test_errors_come_back_as_they_were(executor: Executor) -> None:
    with pytest.raises(BadInputError, match="it is wrong") as caught:
        executor.submit(fail).result()
    assert caught.value.problems == ("it is wrong",)
    assert executor.submit(threads).result() >= 1, "the executor works on"


def test_a_worker_that_dies_does_not_take_the_executor_with_it(executor: Executor) -> None:
    if isinstance(executor, InProcess):
        pytest.skip("it would be this process")
    with pytest.raises(BrokenExecutor):
        executor.submit(die).result(timeout=60)
    assert executor.submit(threads).result(timeout=60) == 1


def test_workers_share_the_cores_out() -> None:
    assert (Local(1).threads, Local(10**6).threads) == (len(os.sched_getaffinity(0)), 1)
    assert Local().workers == len(os.sched_getaffinity(0))
    with pytest.raises(BadInputError, match="workers=0"):
        Local(0)


def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, time
from pathlib import Path
from unscathed.executors import Local
def note():
    Path({str(tmp_path)!r}, str(os.getpid())).touch()
    time.sleep(60)
jobs = [Local(1, threads=1).submit(note)]
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    while not (workers := list(tmp_path.iterdir())):
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while Path("/proc", workers[0].name).exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path("/proc", workers[0].name).exists()
