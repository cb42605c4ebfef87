"""Estimate: how long a plan takes on this machine, from a short pilot of each setting."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from unscathed.healing import Escalation, Healer, HealingMethod, Watchful
from unscathed.lab.experiment import Setting
from unscathed.lab.plan import Job, Plan
from unscathed.lab.store import Store
from unscathed.lab.work import Bench, Gold, Measurement, Open, Opened, Original, Unlearned
from unscathed.training import Callback, fit
from unscathed.unlearners import Influence

PILOT_SECONDS = 3.0
"""How long the pilot trains in each setting; its first steps, which are slower, do not count."""
UNCOUNTED = 3
SIGNAL = 0.1
"""What telling memory takes, of the original's training (`MemorySignal`)."""
FISHER, PRODUCT = 4.0, 5.0
"""What a Fisher diagonal and a Gauss–Newton product cost, in passes of training over their samples: 3 and 4.5 on MNIST,
5 and 6.7 on CIFAR-10 (`experiments/results/susceptibility`; training runs in bfloat16 there, curvature in float32)."""
JOB = 0.05
"""Seconds that any job takes to be handed over, saved and audited."""


@dataclass(frozen=True)
class Pace:
    """How fast one setting runs here.

    Args:
        step: seconds a training step.
        sample: seconds to evaluate a sample.
        opened: the setting, with its data.
    """

    step: float
    sample: float
    opened: Opened

    @property
    def training(self) -> float:
        """Seconds to train the original."""
        return self.step * self.opened.recipe.total_steps(len(self.opened.samples))

    def seconds(self, job: Job) -> float:
        """About how long a job of this setting takes."""
        if isinstance(job, Original | Gold) or (isinstance(job, Unlearned) and job.method.exact):
            return self.training
        one_pass = self.step * self.opened.recipe.steps_per_epoch(len(self.opened.samples))
        if isinstance(job, Unlearned) and isinstance(job.method, Influence):
            count, most = len(self.opened.samples), job.method.curvature_samples
            return PRODUCT * job.method.iterations * one_pass * min(most or count, count) / count
        if isinstance(job, Unlearned):
            return FISHER * one_pass
        looked_at = self.sample * len(self.opened.test)
        if isinstance(job, Measurement):
            return 2 * looked_at + (self._healing(job.healer.build()) if job.healer is not None else 0)
        return looked_at

    def _healing(self, healer: HealingMethod) -> float:
        recipe, count = self.opened.recipe, len(self.opened.samples)
        whole = self.step * recipe.total_steps(count)
        if isinstance(healer, Watchful):
            return self._healing(healer.healer) + (SIGNAL + healer.remedy.ceiling) * whole
        if isinstance(healer, Escalation):
            return healer.ceiling * whole
        if not isinstance(healer, Healer):
            return 0.1 * whole
        if healer.steps is not None:
            return self.step * healer.steps
        if healer.until is not None:
            return healer.until.ceiling * whole
        epochs = healer.epochs if healer.epochs is not None else 0.1 * recipe.total_epochs(count)
        return self.step * epochs * recipe.steps_per_epoch(count)


def pilot(setting: Setting, store: Store) -> Pace:
    """Train for some seconds, and look at some test samples."""
    opened: Opened = Bench(store).obtain(Open(setting))
    watch = _Watch()
    with suppress(_EnoughError):
        fit(opened.task, opened.samples, opened.recipe, seed=setting.seeds.training, callbacks=[watch])
    sample = opened.test.only(opened.test.ids[:512])
    trained = fit(opened.task, sample, opened.recipe.lasting(steps=1), seed=0)
    trained.evaluate(sample)
    started = time.perf_counter()
    trained.evaluate(opened.test.only(opened.test.ids[:512]))
    return Pace(watch.step, (time.perf_counter() - started) / len(sample), opened)


def estimate(plan: Plan, store: Store, workers: int) -> float:
    """About how many seconds a plan takes with so many workers, whose cores are not shared with others."""
    paces: dict[object, Pace] = {}
    total = 0.0
    for job in plan.jobs:
        setting: Setting | None = getattr(job, "setting", None)
        if setting is None:
            continue  # reading the data, which the pilot has done
        kind = (setting.dataset, setting.model, setting.task, setting.recipe)
        if kind not in paces:
            paces[kind] = pilot(setting, store)
        total += JOB + paces[kind].seconds(job)
    return total / workers


class _EnoughError(Exception):
    pass


class _Watch(Callback):
    """Ends training when it has lasted long enough."""

    def __init__(self) -> None:
        self.step = 0.0

    def on_step(self, step: int, loss: object = None) -> None:
        if step == UNCOUNTED:
            self._started = time.perf_counter()
        elif step > UNCOUNTED:
            passed = time.perf_counter() - self._started
            self.step = passed / (step - UNCOUNTED)
            if passed > PILOT_SECONDS:
                raise _EnoughError
