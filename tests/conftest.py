"""Fixtures: one model trained on digits serves many tests."""

import os
from collections.abc import Iterator

if at_once := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):  # before torch is imported: it reads this once
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // at_once)))

import pytest
import torch
from hypothesis import settings

from tests.support import digit_setup
from unscathed import Retrain, Samples, SpareSet, Trained, fit
from unscathed.adversaries import OutputAware, OutputView

# Time limits on single examples say more about a busy machine than about the code.
settings.register_profile("unscathed", deadline=None)
settings.load_profile("unscathed")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test may find what another run left in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNSCATHED_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def digits() -> tuple[Samples, Samples, Samples]:
    """Retained samples, spares and test samples of the digits."""
    made = digit_setup()
    samples, spares = made.samples.split(reserve=0.1, seed=0)
    return samples, spares, made.test


@pytest.fixture(scope="session")
def original(digits: tuple[Samples, Samples, Samples]) -> Trained:
    made = digit_setup()
    return fit(made.task, digits[0], made.recipe, seed=0)


@pytest.fixture(scope="session")
def hard(original: Trained, digits: tuple[Samples, Samples, Samples]) -> tuple[str, ...]:
    """A forget set that gold does badly on: the samples that the original is least sure of."""
    return OutputAware(0.1).choose(OutputView(original, digits[0]))


@pytest.fixture(scope="session")
def gold(original: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]) -> Trained:
    """Gold for ``hard``."""
    return Retrain().unlearn(original, digits[0], hard)


@pytest.fixture
def reserve(digits: tuple[Samples, Samples, Samples]) -> SpareSet:
    return SpareSet(digits[1], shortfall="partial")


@pytest.fixture(autouse=True)
def _another_global_random_state() -> None:
    """Nothing in the library may depend on the global random state: each test starts from another."""
    torch.seed()
