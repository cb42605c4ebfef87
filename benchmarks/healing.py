"""What healing reaches and what it costs, beside gold: the targets that this project set itself, and the figures.

    python benchmarks/healing.py [--dataset mnist] [--samples 8000] [--seeds 2] [--unlearners Fisher …] [--workers 2]
        [--test 10000] [--work FOLDER] [--json FILE]

For every seed an original, and gold for each request; a request names 5 % of the training samples, at random or chosen
by `ParameterAware`, the same for all seeds, so that margins can be compared over seeds (KLOM). Each unlearner answers,
each answer is healed: for 5 % of gold's steps on retained samples and twins, on retained samples alone (the control),
on twins alone, watchfully, and for N/2 epochs; from collapse for 10 %, also by repair and by starting over. `Sisa`
answers for an original of its own, in shards. `ShortRetraining`, which forgets exactly, is the peer that the others
have to beat, from fresh weights and from a warm start that was trained on the spares; and `Retrain`, another gold,
shows what the targets of forgetting make of a model that they must not fail.
Rows go to ``--json`` as they come, and models to ``--work``: stopped, it goes on where it was. Workers have a thread
each. The data is looked for in the folder named by UNSCATHED_DATA. CIFAR-10 has a small network;
`experiments/healing_cifar10.py` has features.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from healing_targets import Row, table, targets
from unscathed import (
    Cosine,
    Features,
    Fisher,
    Flip,
    GradientAscent,
    Healer,
    Influence,
    NegGradPlus,
    Recipe,
    Retrain,
    Saliency,
    Samples,
    Scrub,
    SelectiveDampening,
    Shift,
    ShortRetraining,
    Sisa,
    SpareSet,
    Trained,
    Unlearner,
    Watchful,
    audit,
    fit,
)
from unscathed.adversaries import BlindView, ParameterAware, ParameterView, Random
from unscathed.audit import Rmia, compare_klom, compare_membership
from unscathed.healing import Escalation, HealingMethod, Repair, Rung, StartOver
from unscathed.lab.provenance import provenance
from unscathed.lab.setups import Setup, setup
from unscathed.training import Shadows, fit_shadows
from unscathed.training.checkpoint import RECORD, write_atomically
from unscathed.training.seeds import derive

METHODS: dict[str, Unlearner] = {
    "Fisher": Fisher(),
    "Influence": Influence(curvature="last-layer"),
    "GradientAscent": GradientAscent(),
    "NegGradPlus": NegGradPlus(),
    "SelectiveDampening": SelectiveDampening(),
    "Scrub": Scrub(),
    "Saliency": Saliency(),
    "Sisa": Sisa(),
    "ShortRetraining": ShortRetraining(share=0.4),
    "Retrain": Retrain(),
}
WARM = {"ShortRetraining, warm, 10 %": 0.1, "ShortRetraining, warm, 20 %": 0.2}
"""From a warm start, for a share of the steps. From collapse it is the same: it takes nothing from the model."""
UNLEARNERS = (*METHODS, *WARM)
SMALL = Recipe(epochs=8, batch_size=128, learning_rate=4e-3, augment=(Flip(), Shift(2)))
SETUPS: dict[str, Callable[[Path | None], Setup]] = {
    "cifar10": lambda place: setup("cifar10", place, model="SmallNet", recipe=SMALL),
}
"""Where the data set's own model takes minutes on one core."""
COLLAPSES: dict[str, Unlearner] = {
    "Fisher, collapse": Fisher(kl_budget=5.0),
    "GradientAscent, collapse": GradientAscent(kl_budget=20.0),
}
SHARE = 0.05
"""Of the training samples, what a request names."""
SHADOWS = 8
MORE = 1000
"""What is added to a seed for another gold, which tells how far golds lie apart."""
UNSEEN = 800
"""Test samples beside which membership is measured: spares that matching left would be no fair sample."""


@dataclass(frozen=True)
class Healing:
    """One way of healing: the healer, and its steps as a share of gold's."""

    healer: Callable[[int], HealingMethod]
    share: float


def healing(strategy: str, share: float) -> Healing:
    return Healing(lambda steps: Healer(strategy=strategy, steps=steps), share)  # type: ignore[arg-type]


def by_rung(rung: Rung) -> Healing:
    """One rung of an escalation, whatever it reaches."""
    return Healing(lambda steps: Escalation(rungs=(rung,), enough=lambda _: True), 0.1)


HEALINGS = {
    "retain+twins, 5 %": healing("retain+twins", 0.05),
    "retain, 5 %": healing("retain", 0.05),
    "twins, 5 %": healing("twins", 0.05),
    "retain+twins, N/2": healing("retain+twins", 0.5),
    # What it takes to look and to take turns comes on top.
    "watchful, 5 %": Healing(lambda steps: Watchful(healer=Healer(steps=steps)), 0.05),
}
EXACT: dict[str, dict[str, Healing]] = {
    "ShortRetraining": {"retain+twins, 5 %": HEALINGS["retain+twins, 5 %"]},
    "Retrain": {},
    **{name: {} for name in WARM},
}
"""Where nothing can come back; steps are better spent on a longer retraining."""
FROM_COLLAPSE = {
    "retain+twins, 10 %": healing("retain+twins", 0.1),
    "retain, 10 %": healing("retain", 0.1),
    "twins, 10 %": healing("twins", 0.1),
    "repair, 10 %": by_rung(Repair(share=0.1)),
    "start over, 10 %": by_rung(StartOver(share=0.1)),
}


class Bench:
    """Data, and models that are made once and kept.

    Args:
        made: the data set, its task and recipe.
        most: how many samples, the reserve among them.
        tested: how many held-out samples, those that the attack aims at among them.
        work: where models are kept.
    """

    def __init__(self, made: Setup, most: int, tested: int, work: Path) -> None:
        everything = made.samples.split(reserve=most, seed=0)[1] if most < len(made.samples) else made.samples
        self.task, self.recipe, self.work = made.task, made.recipe, work
        self.samples, self.spares = everything.split(reserve=0.1, seed=0)
        # The attack aims at other samples than those that are scored.
        held_out = made.test.split(reserve=tested, seed=0)[1] if tested < len(made.test) else made.test
        self.test, self.validation = held_out.split(reserve=0.5, seed=0)
        self.unseen = self.test.split(reserve=min(UNSEEN, len(self.test) // 2), seed=0)[1]

    @staticmethod
    @cache
    def opened(dataset: str, most: int, tested: int, work: Path) -> Bench:
        """The same one for all jobs of a process."""
        root = os.environ.get("UNSCATHED_DATA")
        files = dataset.partition("-")[0]
        place = Path(root) / files if root and files != "digits" else None
        made = SETUPS[dataset](place) if dataset in SETUPS else setup(dataset, place)
        return Bench(made, most, tested, work)

    def keep(self, name: str, make: Callable[[], Trained]) -> Trained:
        """A model from the folder, or made and put there; what it took stands in its history."""
        if not (self.work / name / RECORD).exists():
            make().save(self.work / name)
        return Trained.load(self.work / name, self.task)

    def original(self, seed: int, unlearner: Unlearner | None = None) -> Trained:
        if isinstance(unlearner, Sisa):
            sisa = unlearner
            return self.keep(f"sisa-{seed}", lambda: sisa.fit(self.task, self.samples, self.recipe, seed=seed))
        return self.keep(f"original-{seed}", lambda: fit(self.task, self.samples, self.recipe, seed=seed))

    def start(self, seed: int) -> Trained:
        recipe = self.recipe.lasting(steps=self.recipe.total_steps(len(self.samples)))
        return self.keep(f"start-{seed}", lambda: fit(self.task, self.spares, recipe, seed=seed))

    def unlearner(self, name: str, seed: int) -> Unlearner:
        if name in WARM:
            return ShortRetraining(share=WARM[name], start=self.start(seed))
        return {**METHODS, **COLLAPSES}[name]

    def gold(self, request: str, seed: int) -> Trained:
        left = self.samples.without(self.requests[request])
        # Another seed than the original's: gold is not the original's twin.
        return self.keep(f"gold-{request}-{seed}", lambda: fit(self.task, left, self.recipe, seed=derive(seed, "gold")))

    @cached_property
    def requests(self) -> dict[str, tuple[str, ...]]:
        place = self.work / "requests.json"
        if not place.exists():
            write(place, {name: list(ids) for name, ids in self._requests().items()})
        return {name: tuple(ids) for name, ids in json.loads(place.read_text()).items()}

    def _requests(self) -> dict[str, tuple[str, ...]]:
        count = round(SHARE * len(self.samples))
        view = ParameterView(self.original(0), self.samples, validation=self.validation)
        return {
            "random": tuple(Random(count, seed=0).choose(BlindView(self.samples))),
            "adversary": tuple(ParameterAware(count).choose(view)),
        }

    @cached_property
    def shadows(self) -> Shadows:
        pool = self.samples + self.spares + self.unseen
        return fit_shadows(self.task, pool, self.recipe, SHADOWS, seed=1, folder=self.work / "shadows")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--samples", type=int, default=8_000)
    parser.add_argument("--test", type=int, default=10_000, help="held-out samples, half of them to aim the attack at")
    parser.add_argument("--seeds", type=int, default=2, help="2 take 11 minutes on two cores; tables have 5")
    parser.add_argument("--unlearners", nargs="+", choices=UNLEARNERS, default=UNLEARNERS)
    parser.add_argument("--workers", type=int, default=2, help="processes, with a thread each")
    parser.add_argument("--work", type=Path, help="where models are kept; without, they are not")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", action="store_true", help="go on with the rows of an earlier commit, too")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 2:
        parser.error("--seeds must be at least 2, or there is nothing to compare margins over")
    root, seeds = os.environ.get("UNSCATHED_DATA"), arguments.seeds
    files = arguments.dataset.partition("-")[0]
    if files != "digits" and not (root and (Path(root) / files).is_dir()):
        sys.exit(f"no {files}: set UNSCATHED_DATA to the folder that has it")
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        place = (arguments.dataset, arguments.samples, arguments.test, work)
        bench = Bench.opened(*place)
        record, started = begun(arguments, bench), time.perf_counter()
        with ProcessPoolExecutor(arguments.workers, get_context("spawn"), torch.set_num_threads, (1,)) as workers:
            _ = bench.requests  # made here, with the first original, before workers look for them
            uses = {"sisa": {"Sisa"}, "start": set(WARM)}
            idle = {what for what, users in uses.items() if not users & set(arguments.unlearners)}
            needed = [what for what in MADE_FIRST if what not in idle]
            first = [(what, seed) for seed in range(seeds) for what in needed if what != "shadows" or seed == 0]
            models = [workers.submit(prepare, place, what, seed) for what, seed in first]
            for made in as_completed(models):
                made.result()
            asked = [(seed, *case) for seed in range(seeds) for case in cases(arguments.unlearners)]
            jobs = [workers.submit(answer, place, *case) for case in asked if not done(record["rows"], *case)]
            for number, job in enumerate(as_completed(jobs), start=1):
                record["rows"] += job.result()
                write(arguments.json, record)
                print("\n".join(shown(row) for row in job.result()), flush=True)
                print(f"{number} of {len(jobs)}", file=sys.stderr, flush=True)
        record["klom"] = klom_of(bench, record["rows"], seeds)
        record["targets"] = targets(record)
        record["minutes"] = round(record.get("minutes", 0) + (time.perf_counter() - started) / 60, 1)
        write(arguments.json, record)
    print("\n" + table(record["targets"]) + f"\n{record['minutes']} minutes")


def begun(arguments: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    """The record of an earlier run on the same samples, to go on with, or a new one."""
    known, folder = provenance(), Path(sys.argv[0]).resolve().parent.name
    record = {
        "dataset": arguments.dataset,
        "samples": len(bench.samples),
        "spares": len(bench.spares),
        "test": len(bench.test),
        "recipe": bench.recipe.to_json(),
        "shadows": SHADOWS,
        "command": re.sub(r" --work \S+", "", f"python {folder}/{known['command']}"),  # not where models lie
        "versions": json.loads(known["versions"]),
        "processor": known["processor"],
        "accelerator": known["accelerator"],
        "workers": arguments.workers,
        "commit": known["commit"],
        "rows": [],
    }
    if arguments.json and arguments.json.exists():
        earlier: dict[str, Any] = json.loads(arguments.json.read_text())
        same = ("dataset", "samples", "spares", "test", "recipe", *(() if arguments.keep else ("commit",)))
        if all(earlier[name] == record[name] for name in same):
            of_run = ("command", "commit", "processor")
            continued = [*earlier.get("continued", []), {name: record[name] for name in of_run}]
            return {**record, **earlier, "continued": continued}
    return record


def write(place: Path | None, record: dict[str, Any]) -> None:
    if place is not None:
        write_atomically(place, (json.dumps(record, indent=1) + "\n").encode())


Place = tuple[str, int, int, Path]
"""What `Bench.opened` takes."""
MADE_FIRST = ("original", "random", "adversary", "more random", "more adversary", "shadows", "sisa", "start")


def prepare(place: Place, what: str, seed: int) -> None:
    """One model that others are compared with, made and kept (in a worker)."""
    bench = Bench.opened(*place)
    if what == "shadows":
        _ = bench.shadows  # once, for all seeds
    elif what in ("original", "sisa"):
        bench.original(seed, METHODS["Sisa"] if what == "sisa" else None)
    elif what == "start":
        bench.start(seed)
    elif what.startswith("more "):  # for the floor of KLOM
        bench.gold(what.removeprefix("more "), seed + MORE)
    else:
        bench.gold(what, seed)


def cases(names: Sequence[str]) -> list[tuple[str, str]]:
    """Requests and who answers them."""
    found = [(request, name) for request in ("random", "adversary") for name in names]
    return found + [("random", name) for name in COLLAPSES]


def done(rows: list[Row], seed: int, request: str, name: str) -> bool:
    return any((r["seed"], r["request"], r["unlearner"]) == (seed, request, name) for r in rows)


def answer(place: Place, seed: int, request: str, name: str) -> list[Row]:
    """What one unlearner and each healing make of a request (in a worker)."""
    bench = Bench.opened(*place)
    unlearner = bench.unlearner(name, seed)
    original = bench.original(seed, unlearner)
    healings = FROM_COLLAPSE if name in COLLAPSES else EXACT.get(name, HEALINGS)
    return list(answers(bench, original, seed, request, name, unlearner, healings))


def answers(
    bench: Bench,
    original: Trained,
    seed: int,
    request: str,
    name: str,
    unlearner: Unlearner,
    healings: dict[str, Healing],
) -> Iterator[Row]:
    """One unlearner's answer to one request, as it is and healed in each way."""
    forget, gold = bench.requests[request], bench.gold(request, seed)
    forgotten, retain = bench.samples.only(forget), bench.samples.without(forget)
    reserve = SpareSet(bench.spares, Cosine(Features()), shortfall="partial")
    started = time.perf_counter()
    twins = reserve.match(forgotten, original, distinct=retain)
    matched = time.perf_counter() - started
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a budget cut short is in the rows
        started = time.perf_counter()
        unlearned = unlearner.unlearn(original, bench.samples, forget)
        took = time.perf_counter() - started
    left = bench.spares.without(twins.fresh)
    common = {"seed": seed, "request": request, "unlearner": name}

    def measured(model: Trained, healing: str, seconds: float, steps: int) -> Row:
        scores, margins = judged(bench, model, gold, original, forgotten)
        torch.save(margins, bench.work / f"margins-{seed}-{request}-{name}-{healing.replace('/', '-')}.pt")
        started = time.perf_counter()
        # As a steward would, without gold.
        verdict = audit(model, forgotten=forgotten, test=bench.test, unseen=bench.test, original=original)
        audited = time.perf_counter() - started
        return {
            **common,
            "healing": healing,
            **scores,
            "whole": verdict.whole,
            "forgotten": verdict.forgotten,
            "twins": len(twins),
            "unlearning_steps": unlearned.history[-1].steps,
            "steps": steps,
            "gold_steps": gold.history[0].steps,
            "seconds": seconds + audited,
            "gold_seconds": gold.history[0].seconds,
        }

    yield measured(unlearned, "none", took, 0)
    for healing, how in healings.items():
        healer = how.healer(max(1, round(how.share * gold.history[0].steps)))
        started = time.perf_counter()
        healed = healer.heal(
            unlearned,
            retain=retain,
            twins=twins.samples,
            before=original if healer.needs_before else None,
            held_out=left if healer.needs_held_out else None,
            forgotten=forgotten if healer.needs_forgotten else None,
        )
        seconds = took + matched + time.perf_counter() - started
        yield measured(healed, healing, seconds, healed.history[-1].steps)


def judged(bench: Bench, model: Trained, gold: Trained, original: Trained, forgotten: Samples) -> tuple[Row, Tensor]:
    """Scores in percent, and RMIA's AUC beside gold's and the original's."""
    attack, unseen = Rmia(online=True), bench.unseen
    labels = [bench.task.labels(part.targets) for part in (forgotten, unseen)]
    areas = {}
    for who, one in (("", model), ("gold_", gold), ("original_", original)):
        ours, theirs = attack.attack(one, bench.shadows, forgotten, unseen=unseen)
        found = compare_membership(ours, theirs, forgotten_labels=labels[0], unseen_labels=labels[1])
        areas[f"{who}rmia"] = found.value
        if who == "gold_":
            areas |= {"gold_rmia_low": 0.5 + found.low, "gold_rmia_high": 0.5 + found.high}
    scores = {
        f"{who}{where}": 100 * one.score(part)
        for who, one in (("", model), ("gold_", gold), ("original_", original))
        for where, part in (("score", bench.test), ("forget_score", forgotten))
    }
    return {**scores, **areas}, model.evaluate(forgotten).margins


def klom_of(bench: Bench, rows: list[Row], seeds: int) -> list[Row]:
    """KLOM of the forgotten over all seeds, beside gold's from gold, for each unlearner and healing."""
    found = []
    for request in bench.requests:
        forgotten = bench.samples.only(bench.requests[request])
        golds, more = (
            torch.stack([bench.gold(request, seed).evaluate(forgotten).margins for seed in part])
            for part in (range(seeds), range(MORE, MORE + seeds))
        )
        for name, healing in dict.fromkeys((r["unlearner"], r["healing"]) for r in rows if r["request"] == request):
            models = torch.stack(
                [
                    torch.load(bench.work / f"margins-{seed}-{request}-{name}-{healing.replace('/', '-')}.pt")
                    for seed in range(seeds)
                ]
            )
            compared = compare_klom(models, golds, more_golds=more)
            value, floor = float(compared.values.mean()), float(compared.floor.mean())
            found.append(
                {
                    "request": request,
                    "unlearner": name,
                    "healing": healing,
                    "klom": value,
                    "floor": floor,
                    "ratio": value / floor,
                }
            )
    return found


def shown(row: Row) -> str:
    return (
        f"seed {row['seed']}  {row['request']:9}  {row['unlearner']:24}  {row['healing']:19}  test {row['score']:5.2f} "
        f"(gold {row['gold_score']:5.2f})  forgotten {row['forget_score']:5.1f} ({row['gold_forget_score']:5.1f})  "
        f"RMIA {row['rmia']:.3f} ({row['gold_rmia']:.3f})  {row['seconds']:5.1f} s"
    )


if __name__ == "__main__":
    main()
