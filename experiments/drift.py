"""Do roots of divergences add up? What a sequence of requests really costs, beside the sum that budgets are kept by.

    python experiments/drift.py --json experiments/results/drift-digits.json

Eight requests of 1 % follow each other, random or parameter-aware, with no healing in between, and each has the whole
budget, as if there were no account. `way` is the sum of √kl over them, √nats; `drift` the mean divergence of the last
model from the original on retained samples, nats; the account is on the safe side where √drift ≤ way.
"""

from __future__ import annotations

import argparse
import itertools
import math
import warnings
from dataclasses import replace
from pathlib import Path

from planning_setups import Setting, begun, environment, write
from unscathed import (
    BlindView,
    Fisher,
    GradientAscent,
    Influence,
    NegGradPlus,
    ParameterView,
    Saliency,
    Scrub,
    SelectiveDampening,
    Unlearner,
    fit,
)
from unscathed.adversaries import ParameterAware, Random
from unscathed.curvature import ModelFunction
from unscathed.unlearners.drift import Drift

REQUESTS = 8
SMALL = 0.05 / REQUESTS**2
"""With this for each of them, eight requests spend 0.05 nats together, by the account."""
UNLEARNERS: list[Unlearner] = [
    Fisher(),
    Fisher(kl_budget=SMALL),
    Influence(curvature="last-layer"),
    GradientAscent(),
    GradientAscent(kl_budget=SMALL),
    NegGradPlus(),
    Scrub(),
    Saliency(),
    SelectiveDampening(alpha=None, kl_budget=SMALL),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--samples", type=int, default=6000, help="the most samples")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    setting = Setting.of(arguments.dataset, arguments.samples)
    count = round(0.01 * len(setting.samples))
    record = begun(arguments.json, {**environment(setting), "request": count}, "runs")
    for seed, method, hostile in itertools.product(range(arguments.seeds), UNLEARNERS, (False, True)):
        place = {"seed": seed, "unlearner": repr(method), "hostile": hostile}
        if any({name: run[name] for name in place} == place for run in record["runs"]):
            continue
        way, drift = walk(setting, method, count, seed, hostile)
        record["runs"].append({**place, "way": way, "drift": drift, "ratio": math.sqrt(drift) / way if way else None})
        write(arguments.json, record)
        print(f"{place}: √drift is {math.sqrt(drift):.3f}, the sum {way:.3f}", flush=True)
    for method in UNLEARNERS:
        ratios = [run["ratio"] for run in record["runs"] if run["unlearner"] == repr(method) and run["ratio"]]
        print(f"{method}: √drift is {min(ratios):.2f} to {max(ratios):.2f} of the sum")


def walk(setting: Setting, method: Unlearner, count: int, seed: int, hostile: bool) -> tuple[float, float]:
    """The sum of √kl over the requests, √nats, and the drift of the last model from the first, nats."""
    samples = setting.samples.split(reserve=0.1, seed=seed)[0]
    original = model = fit(setting.task, samples, setting.recipe, seed=seed)
    way = 0.0
    for number in range(REQUESTS):
        left = samples.only(model.ids)
        if hostile:
            forget = ParameterAware(count).choose(ParameterView(model, left, validation=setting.validation))
        else:
            forget = Random(count, seed=number).choose(BlindView(left))
        model = method.unlearn(model, left, forget, seed=seed)
        *before, last = model.history
        way += math.sqrt(last.details["kl"])
        # With nothing said of what it cost, the next request has the whole budget again.
        model = replace(model, history=(*before, replace(last, details={})))
    return way, Drift(ModelFunction(original), samples.only(model.ids), seed).of(model)


if __name__ == "__main__":
    main()
