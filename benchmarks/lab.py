"""What the lab costs over bare calls, what a second worker gains, and whether shared work is ever done twice.

python benchmarks/lab.py [--json]: a grid of 200 runs on digits, bare and in the lab by turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import unscathed as us
from unscathed.audit import membership_auc
from unscathed.executors import InProcess, Local
from unscathed.lab.experiment import Cell, Experiment
from unscathed.lab.provenance import provenance
from unscathed.lab.runner import run
from unscathed.lab.store import Store

GRID = """
dataset = "digits"
seeds = 5
adversary = [{ Random = { budget = { each = [0.05, 0.1, 0.2] } } }, "OneClass", "OutputAware"]
unlearner = ["Retrain", "Sisa", "Fisher", "Influence"]
healer = ["Healer", { Healer = { strategy = "retain" } }]
"""


def bare(experiment: Experiment) -> None:
    """What the grid is without the lab: nested loops that share what can be shared, and measure the same."""
    data = us.datasets.digits()
    by_seed: dict[int, list[Cell]] = {}
    for cell in experiment.cells:
        by_seed.setdefault(cell.setting.seed, []).append(cell)
    for cells in by_seed.values():
        seeds, recipe = cells[0].setting.seeds, us.Recipe(epochs=20, batch_size=64)
        task = us.ClassificationTask(us.models.DigitNet, 10)
        samples, spares = data.samples.split(reserve=0.1, seed=seeds.split)
        originals = {"Sisa": us.Sisa().fit(task, samples, recipe, seed=seeds.training)}
        plain = us.fit(task, samples, recipe, seed=seeds.training)
        for adversary in dict.fromkeys(c.adversary for c in cells):
            attack = adversary.build({"seed": seeds.adversary})
            view = us.OutputView(plain, samples) if adversary.name == "OutputAware" else us.BlindView(samples)
            forget = attack.choose(view)
            forgotten, retain = samples.only(forget), samples.without(forget)
            gold = us.Retrain().unlearn(plain, samples, forget)
            twins = us.SpareSet(spares, shortfall="partial").match(forgotten, plain)
            for unlearner in dict.fromkeys(c.unlearner for c in cells):
                original = originals.get(unlearner.name, plain)
                method = unlearner.build()
                seed = None if method.exact else seeds.unlearner
                unlearned = (
                    gold if unlearner.name == "Retrain" else method.unlearn(original, samples, forget, seed=seed)
                )
                healed = [
                    us.Healer(strategy=strategy).heal(  # type: ignore[arg-type]
                        unlearned, retain=retain, twins=twins.samples, seed=seeds.healing
                    )
                    for strategy in ("retain+twins", "retain")
                ]
                for model in (original, gold, unlearned, *healed):
                    on_test, on_forgotten = model.evaluate(data.test), model.evaluate(forgotten)
                    membership_auc(
                        on_forgotten.margins, on_test.margins, task.labels(forgotten.targets), data.test.targets
                    )
                    if model is not gold:
                        us.audit(
                            model,
                            forgotten=forgotten,
                            test=data.test,
                            gold=gold,
                            original=original,
                            same_procedure=unlearned if unlearner.name == "Sisa" else None,
                        )


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def in_lab(folder: Path, executor: Any) -> Path:
    place = Path(tempfile.mkdtemp(dir=folder))
    outcome = run(Experiment.from_file(folder / "grid.toml"), place / "r", store=Store(place / "c"), executor=executor)
    assert not outcome.failures, outcome.failures
    return place


def with_workers(folder: Path, workers: int) -> float:
    with Local(workers, threads=1) as executor:
        return timed(lambda: in_lab(folder, executor))[0]


def measure(repeats: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "grid.toml").write_text(GRID)
        experiment = Experiment.from_file(folder / "grid.toml")
        bares, labs, places = [], [], []
        for repeat in range(repeats):
            print(f"bare and in the lab, {repeat + 1} of {repeats}", file=sys.stderr)
            bares.append(timed(lambda: bare(experiment)))
            labs.append(timed(lambda: places.append(in_lab(folder, InProcess()))))
        print("one worker, two workers", file=sys.stderr)
        alone, both = with_workers(folder, 1), with_workers(folder, 2)
        command = [
            sys.executable,
            "-c",
            "from unscathed.cli import app; app()",
            "lab",
            "run",
            str(folder / "grid.toml"),
        ]
        again = timed(
            lambda: subprocess.run(
                [*command, "--out", str(places[0] / "r"), "--cache", str(places[0] / "c")],
                check=True,
                capture_output=True,
            )
        )[0]
        lines = (places[0] / "r" / "journal.jsonl").read_text().splitlines()
        done = Counter(entry["key"] for entry in map(json.loads, lines))
        return {
            "cells": len(experiment.cells),
            "repeats": repeats,
            "bare_seconds": [wall for wall, _ in bares],
            "lab_seconds": [wall for wall, _ in labs],
            "overhead_wall": statistics.median(lab[0] / own[0] for lab, own in zip(labs, bares, strict=True)) - 1,
            "overhead_cpu": statistics.median(lab[1] / own[1] for lab, own in zip(labs, bares, strict=True)) - 1,
            "one_worker_seconds": alone,
            "two_workers_seconds": both,
            "two_workers_gain": alone / both,
            "finished_again_seconds": again,
            "jobs": len(done),
            "jobs_done_twice": sum(count > 1 for count in done.values()),
            **provenance(),
            "load_before": os.getloadavg()[0],
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    found = measure(arguments.repeats)
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        print(
            f"{found['cells']} runs: the lab costs {found['overhead_wall']:+.1%} wall, {found['overhead_cpu']:+.1%} "
            f"CPU over bare calls (median of {found['repeats']}); two workers {found['two_workers_gain']:.2f}x one; "
            f"a finished grid again in {found['finished_again_seconds']:.1f} s; "
            f"{found['jobs_done_twice']} of {found['jobs']} jobs done twice"
        )
