"""Shadow models of a setting: trained once, kept, and found again by whatever attacks or audits want them."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import torch

from unscathed.executors import InProcess
from unscathed.lab.experiment import Setting
from unscathed.lab.store import Store
from unscathed.lab.work.base import Bench, Work
from unscathed.lab.work.models import Model, Open, Opened
from unscathed.problems import Problems
from unscathed.training import Shadows, Trained, fit, shadow_half, shadow_seed


@dataclass(frozen=True)
class Shadow(Model):
    """One shadow model (see `fit_shadows`).

    Args:
        setting: whose samples and recipe it is trained with.
        number: which one.
    """

    kind = "shadow"

    setting: Setting
    number: int

    def needs(self) -> tuple[Work, ...]:
        """The setting."""
        return (Open(self.setting),)

    def identity(self) -> Any:
        """Which one."""
        return self.number

    def make(self, bench: Bench) -> Trained:
        """Train on its half."""
        opened: Opened = bench.obtain(Open(self.setting))
        seed, samples = self.setting.seeds.training, opened.samples
        inside = shadow_half(len(samples), self.number, seed)
        own = samples.only(samples.ids[p] for p in inside.nonzero().flatten().tolist())
        what = f"shadow {self.number}"
        return fit(
            opened.task, own, opened.recipe, seed=shadow_seed(seed, self.number), callbacks=bench.callbacks, what=what
        )

    def __str__(self) -> str:
        return f"training shadow {self.number} on {self.setting.dataset}, seed {self.setting.seed}"


def shadows_of(setting: Setting, count: int, store: Store, executor: Executor | None = None) -> Shadows:
    """The first shadow models of a setting; those that the store lacks are trained, each once.

    Args:
        setting: of the original that they shadow.
        count: how many, an even number.
        store: where they are kept.
        executor: where they are trained; by default here.

    Raises:
        BadInputError: the count is not even and positive.
    """
    problems = Problems("cannot have shadow models")
    problems.require(count >= 2 and count % 2 == 0, f"count={count} must be an even number of at least 2")
    problems.raise_any()
    bench = Bench(store)
    opened: Opened = bench.obtain(Open(setting))
    works = [Shadow(setting, number) for number in range(count)]
    missing = [work for work in works if store.find(work.kind, work.key) is None]
    for job in [(executor or InProcess()).submit(_keep, work, store) for work in missing]:
        job.result()
    inside = [shadow_half(len(opened.samples), number, setting.seeds.training) for number in range(count)]
    return Shadows(tuple(bench.obtain(work) for work in works), torch.stack(inside))


def _keep(work: Work, store: Store) -> None:
    Bench(store).obtain(work)
