"""Plan: what a grid needs done, shared work first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow.parquet as pq

from unscathed.lab.code import code_digest
from unscathed.lab.experiment import Cell, Experiment
from unscathed.lab.store import Store
from unscathed.lab.work import Kept, Measurement, Work
from unscathed.lab.work.models import unlearner_of

Job = Work | Measurement


@dataclass(frozen=True)
class Plan:
    """What is to be done for an experiment, and what is there already.

    Args:
        measurements: all of the grid's, each once, in the order of its cells.
        missing: those not measured yet.
        jobs: shared work that is not in the store and missing measurements, each with the jobs it waits for.
        found: shared work that is in the store.
    """

    measurements: tuple[Measurement, ...]
    missing: tuple[Measurement, ...]
    jobs: dict[Job, tuple[Job, ...]]
    found: tuple[Work, ...]

    @classmethod
    def of(cls, experiment: Experiment, store: Store, results: Path, *, update: bool = False) -> Plan:
        """Plan an experiment, given what store and results hold (see `missing_of`)."""
        measurements, missing = measurements_of(experiment.cells), missing_of(experiment, results, update)
        jobs: dict[Job, tuple[Job, ...]] = {}
        found: dict[str, Work] = {}
        known: dict[str, tuple[Work, ...]] = {}

        def waits_for(work: Work) -> tuple[Work, ...]:
            """The jobs that must be over before this work can be used; it becomes a job itself where it is missing."""
            if work.key not in known:
                kept = isinstance(work, Kept)
                if kept and store.find(work.kind, work.key):
                    found[work.key] = work
                    known[work.key] = ()
                else:
                    before = _distinct(w for needed in work.needs() for w in waits_for(needed))
                    if kept:
                        jobs[work] = before
                    known[work.key] = (work,) if kept else before
            return known[work.key]

        for measurement in missing:
            jobs[measurement] = _distinct(w for needed in measurement.needs() for w in waits_for(needed))
        return cls(measurements, missing, jobs, tuple(found.values()))

    @cached_property
    def demand(self) -> Counter[Job]:
        """How many missing measurements stand on each job."""
        demand: Counter[Job] = Counter()
        for measurement in self.missing:
            seen: set[Job] = set()
            stack: list[Job] = [measurement]
            while stack:
                job = stack.pop()
                if job not in seen:
                    seen.add(job)
                    stack.extend(self.jobs[job])
            demand.update(seen)
        return demand

    @property
    def shared(self) -> tuple[Work, ...]:
        """Shared work to be done."""
        return tuple(job for job in self.jobs if isinstance(job, Work))


def missing_of(experiment: Experiment, results: Path, update: bool = False) -> tuple[Measurement, ...]:
    """What is not measured yet; with ``update`` also what another version of the code measured."""
    missing = [m for m in measurements_of(experiment.cells) if not m.path(results).exists()]
    if update:
        there = [m for m in measurements_of(experiment.cells) if m.path(results).exists()]
        missing += [m for m in there if not is_current(m.path(results))]
    return tuple(missing)


def is_current(path: Path) -> bool:
    """Whether a measurement is there, made by this version of the code."""
    return path.exists() and pq.read_table(path, columns=["code"])["code"][0].as_py() == code_digest()


def measurements_of(cells: tuple[Cell, ...]) -> tuple[Measurement, ...]:
    """What the cells of a grid must have measured, each once."""
    found: dict[Measurement, None] = {}
    for cell in cells:
        method = unlearner_of(cell.unlearner)
        common = (cell.setting, cell.adversary)
        found[Measurement(*common, "original", cell.unlearner if method.trains_original else None)] = None
        found[Measurement(*common, "gold")] = None
        found[Measurement(*common, "unlearned", cell.unlearner)] = None
        if cell.healer is not None:
            similarity = cell.similarity if cell.healer.build().uses_twins else None
            found[Measurement(*common, "healed", cell.unlearner, similarity, cell.healer)] = None
    return tuple(found)


def _distinct(works: Iterable[Work]) -> tuple[Work, ...]:
    return tuple({w.key: w for w in works}.values())
