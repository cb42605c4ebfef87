"""What do screens see of each attack, at one and five false alarms in a hundred?

    python experiments/screening.py --dataset digits --json experiments/results/screening-digits.json

For each seed a model is trained, screens are calibrated on random requests, and adversaries of every family choose
requests of several sizes among samples of their own (half of all, drawn anew each time). Detection is the share of
requests that go the safer road. Beside it stand alarms on random requests that were not calibrated on (the false-alarm
rate as it is), and on the requests of people who own samples that are alike (nearest neighbours of one class: no
attack, and what calibrating on random requests overlooks). What a file of an earlier run with the same settings has is
not done again. Larger data sets are cut to `--samples`; their files are looked for in the folder named by
UNSCATHED_DATA.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from planning_setups import Setting, begun, environment, write
from unscathed import Samples, Trained, fit
from unscathed.adversaries import (
    Adversary,
    FisherWeights,
    GradientMatching,
    HighestConfidence,
    HighestLoss,
    Influential,
    OneClass,
    Outliers,
    OutputAware,
    ParameterAware,
    Prototypes,
    Random,
    RareSubgroups,
    Representative,
    WorstCase,
)
from unscathed.screening import ClassConcentration, RegionConcentration, Screen, Triage, Wanted

SIZES = (5, 20, 50)
RATES = (0.01, 0.05)
DRAWN = 5
FAMILIES: dict[str, Callable[[int, int], Adversary[Any]]] = {
    "OneClass": lambda size, draw: OneClass(size, seed=draw),
    "Outliers": lambda size, _: Outliers(size),
    "Prototypes, k-center": lambda size, _: Prototypes(size),
    "Prototypes, herding": lambda size, _: Prototypes(size, how="herding"),
    "RareSubgroups": lambda size, draw: RareSubgroups(size, seed=draw),
    "OutputAware": lambda size, _: OutputAware(size),
    "HighestLoss": lambda size, _: HighestLoss(size),
    "HighestConfidence": lambda size, _: HighestConfidence(size),
    "Representative": lambda size, _: Representative(size),
    "ParameterAware": lambda size, _: ParameterAware(size),
    "Influential": lambda size, _: Influential(size),
    "Influential, last layer": lambda size, _: Influential(size, curvature="last-layer"),
    "GradientMatching": lambda size, _: GradientMatching(size),
    "FisherWeights": lambda size, _: FisherWeights(size),
    "WorstCase, utility": lambda size, draw: WorstCase(size, aim="utility", seed=draw),
    "WorstCase, erasure": lambda size, draw: WorstCase(size, aim="erasure", seed=draw),
}


def screens(validation: Samples) -> dict[str, list[Screen]]:
    """What is compared: each screen alone, and all together."""
    alone: dict[str, Screen] = {
        "classes": ClassConcentration(),
        "region": RegionConcentration(),
        "margins": Wanted(OutputAware(1), both=True),
        "damage": Wanted(Influential(1, curvature="last-layer"), validation=validation),
        "alignment": Wanted(ParameterAware(1), validation=validation, both=True),
    }
    return {**{name: [screen] for name, screen in alone.items()}, "all": list(alone.values())}


def alike(samples: Samples, size: int, draw: int) -> tuple[str, ...]:
    """What somebody owns whose samples are much the same: one sample's nearest neighbours of its class, itself too."""
    rows = samples.inputs.flatten(1).float()
    seed = torch.randint(len(samples), (), generator=torch.Generator().manual_seed(draw))
    apart = (rows - rows[seed]).norm(dim=1).masked_fill(samples.targets != samples.targets[seed], torch.inf)
    return tuple(samples.ids[p] for p in apart.argsort()[:size].tolist())


def requests(
    setting: Setting, trained: Trained, samples: Samples, seed: int, families: Sequence[str]
) -> dict[str, list[tuple[str, ...]]]:
    """By who asks and how much: requests."""
    found: dict[str, list[tuple[str, ...]]] = {}
    # The attacker's validation samples are its own; the keeper has others.
    aim, _ = setting.validation.split(reserve=0.5, seed=0)
    halves = (
        torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed + draw)) for draw in range(DRAWN)
    )
    owned = [samples.at(half[: len(samples) // 2]) for half in halves]
    for size in SIZES:
        found[f"random|{size}"] = [
            Random(size, seed=10_000 * seed + draw + 1).choose(Random.view_type.of(trained, samples))
            for draw in range(40 * DRAWN)
        ]
        found[f"alike|{size}"] = [alike(samples, size, draw) for draw in range(4 * DRAWN)]
        for name in families:
            asking = [FAMILIES[name](size, draw) for draw in range(DRAWN)]
            found[f"{name}|{size}"] = [
                adversary.choose(adversary.view_type.of(trained, own, validation=aim))
                for adversary, own in zip(asking, owned, strict=True)
            ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--samples", type=int, default=6000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--families", nargs="*", choices=list(FAMILIES), default=list(FAMILIES), help="who attacks")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    setting = Setting.of(arguments.dataset, arguments.samples)
    record = begun(arguments.json, {**environment(setting), "request": list(SIZES), "drawn": DRAWN}, "runs")
    _, keeps = setting.validation.split(reserve=0.5, seed=0)
    for seed in range(arguments.seeds):
        if seed in [run["seed"] for run in record["runs"]]:
            continue
        train, _ = setting.samples.split(reserve=0.1, seed=seed)
        trained = fit(setting.task, train, setting.recipe, seed=seed)
        asked = requests(setting, trained, train, seed, arguments.families)
        alarms: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        seconds = {}
        for name, chosen in screens(keeps).items():
            for rate in RATES:
                started = time.perf_counter()
                assessor = Triage(chosen, false_alarms=rate, seed=seed).fit(trained, train)
                fitted = time.perf_counter()
                for who, sent in asked.items():
                    roads = [assessor.assess(request).road == "safer" for request in sent]
                    alarms[name][str(rate)][who] = statistics.fmean(roads)
                assessed = time.perf_counter() - fitted
                seconds[name] = {"fit": fitted - started, "request": assessed / sum(map(len, asked.values()))}
        record["runs"].append({"seed": seed, "alarms": alarms, "seconds": seconds})
        write(arguments.json, record)
        print(
            f"{arguments.dataset} seed {seed}: " + ", ".join(f"{n} {s['fit']:.1f} s" for n, s in seconds.items()),
            flush=True,
        )
    show(record["runs"])


def show(runs: Sequence[dict[str, Any]]) -> None:
    """Shares of requests that raise an alarm, in percent, means over seeds."""
    names = list(runs[0]["alarms"])
    for rate in map(str, RATES):
        print(f"\nalarms, %, at {100 * float(rate):g} % false alarms, {len(runs)} seeds\n")
        print("| who asks | samples | " + " | ".join(names) + " |\n| --- | ---: |" + " ---: |" * len(names))
        for who in runs[0]["alarms"][names[0]][rate]:
            family, size = who.split("|")
            cells = [f"{100 * statistics.fmean(run['alarms'][name][rate][who] for run in runs):.0f}" for name in names]
            print(f"| {family} | {size} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
