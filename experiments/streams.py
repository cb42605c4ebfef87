"""Do benign requests among hostile ones soften or worsen an attack? Streams of both, with gold beside.

    python experiments/streams.py --dataset digits --json experiments/results/streams-digits.json

Each requester owns, or asks for, 1 % of the samples at a time. Ten hostile requests come alone, in one batch, or mixed
with as many benign ones; and twenty benign ones come alone. After each, test scores and spares are told, and at the end
gold. Where an unlearner's budget is spent and nobody heals, a stream ends early: in brackets, after how many requests.
What a file of an earlier run with the same settings has is not done again. Larger data sets are cut to `--samples`;
their files are looked for in the folder named by UNSCATHED_DATA.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from planning_setups import Setting, begun, environment, write
from unscathed import Fisher, GradientAscent, Healer, NegGradPlus, Samples, Sisa, SpareSet, Steward, Unlearner
from unscathed.adversaries import OneClass, OutputAware, ParameterAware
from unscathed.streams import Benign, Hostile, Stream, endure
from unscathed.training import Progress

HOSTILE = 10
UNLEARNERS: dict[str, Unlearner] = {
    "Fisher": Fisher(),
    "GradientAscent": GradientAscent(),
    "NegGradPlus": NegGradPlus(),
    "Sisa": Sisa(shards=3, slices=2),
}
ADVERSARIES = {"one-class": OneClass, "output-aware": OutputAware, "parameter-aware": ParameterAware}


def mixes(adversary: str, size: int, samples: Samples, seed: int) -> dict[str, Stream]:
    """By name, what arrives."""
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed)).tolist()
    owners = {samples.ids[p]: f"person {n // size}" for n, p in enumerate(order)}
    made = ADVERSARIES[adversary](size)
    return {
        "hostile": Stream([Hostile(made, requests=HOSTILE)], requests=HOSTILE),
        "hostile, one batch": Stream([Hostile(made, requests=HOSTILE)], requests=HOSTILE, batch=HOSTILE),
        "mixed": Stream([Hostile(made, requests=HOSTILE), Benign(owners=owners)], requests=2 * HOSTILE),
        "benign": Stream([Benign(owners=owners)], requests=2 * HOSTILE),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--samples", type=int, default=6000, help="the most samples, the reserve among them")
    parser.add_argument("--share", type=float, default=0.2, help="of the samples that is held back")
    parser.add_argument("--adversaries", nargs="+", choices=list(ADVERSARIES), default=["parameter-aware", "one-class"])
    parser.add_argument("--unlearners", nargs="+", choices=list(UNLEARNERS), default=list(UNLEARNERS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="forgetting every sample of class|twins are sought|.*copies")
    setting = Setting.of(arguments.dataset, arguments.samples)
    size = round(0.01 * len(setting.samples))
    record = begun(arguments.json, {**environment(setting), "request": size}, "runs")
    keys = ("unlearner", "adversary", "healed", "mix", "seed")
    done = {tuple(run[k] for k in keys) for run in record["runs"]}
    grid = itertools.product(range(arguments.seeds), arguments.unlearners, arguments.adversaries, (False, True))
    for seed, unlearner, adversary, healed in grid:
        train, spares = setting.samples.split(reserve=arguments.share, seed=seed)
        for mix, stream in mixes(adversary, size, train, seed).items():
            place = (unlearner, adversary, healed, mix, seed)
            if place in done:
                continue
            method = UNLEARNERS[unlearner]
            steward = Steward(
                method.fit(setting.task, train, setting.recipe, seed=seed),
                train,
                SpareSet(spares, shortfall="partial"),
                unlearner=method,
                healer=Healer() if healed else None,
                test=setting.validation,
            )
            started = time.perf_counter()
            with Progress() as progress:
                found = endure(
                    steward,
                    stream,
                    setting.test,
                    validation=setting.validation,
                    gold_every=len(train),
                    seed=seed,
                    callbacks=[progress],
                )
            seconds = round(time.perf_counter() - started, 1)
            record["runs"].append({**dict(zip(keys, place, strict=True)), "took": seconds, **found.to_json()})
            write(arguments.json, record)
            print(f"{unlearner}, {adversary}, {mix}, healed: {healed}, seed {seed}: {found.damage:+.4f}", flush=True)
    show(record["runs"])


def show(runs: list[dict[str, Any]]) -> None:
    """Damage against gold at the end, mean and standard deviation over seeds, in points, and how far streams came."""
    names = ["hostile", "hostile, one batch", "mixed", "benign"]
    print("| unlearner | adversary | healed | " + " | ".join(names) + " |")
    print("| --- | --- | --- |" + " ---: |" * len(names))
    damage: dict[tuple[str, str, bool], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    honoured: dict[tuple[str, str, bool], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        last = run["steps"][-1]
        row = run["unlearner"], run["adversary"], run["healed"]
        damage[row][run["mix"]].append(100 * (last["gold"] - last["score"]))
        honoured[row][run["mix"]].append(last["requests"])
    for (unlearner, adversary, healed), found in damage.items():
        cells = [
            f"{statistics.fmean(found[name]):+.2f} ± {statistics.stdev(found[name]) if len(found[name]) > 1 else 0:.2f}"
            f" ({statistics.fmean(honoured[unlearner, adversary, healed][name]):.1f})"
            for name in names
            if found[name]
        ]
        print(f"| {unlearner} | {adversary} | {'yes' if healed else 'no'} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
