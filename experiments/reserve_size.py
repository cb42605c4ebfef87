"""How large must the reserve be? Reserves of 5, 10 and 20 %, as requests increase, with gold and the control beside.

    python experiments/reserve_size.py --dataset digits --json experiments/results/reserve-size-digits.json

Each request names 2 % of all samples. `loss` is how far the healed model lies below gold on test, `control` how far
one does that was healed on retained data alone for as many steps. Plans that a file of an earlier run with the same
settings has are not made again. Larger data sets are cut to `--samples`; their
files are looked for in the folder named by UNSCATHED_DATA.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

from planning_setups import ADVERSARIES, UNLEARNERS, Setting, begun, environment, requests_of, write
from unscathed.planning import plan_reserve
from unscathed.training import Progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--samples", type=int, default=6000, help="the most samples, the reserve among them")
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.05, 0.1, 0.2])
    parser.add_argument("--horizons", type=int, nargs="+", default=[2, 5, 10])
    parser.add_argument("--request", type=float, default=0.02, help="what a request names, as a share of the samples")
    parser.add_argument("--tolerance", type=float, default=0.01)
    parser.add_argument("--adversaries", nargs="+", choices=ADVERSARIES, default=["random", "parameter-aware"])
    parser.add_argument("--unlearners", nargs="+", choices=list(UNLEARNERS), default=["fisher", "gradient-ascent"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    setting = Setting.of(arguments.dataset, arguments.samples)
    count = round(arguments.request * len(setting.samples))
    record = begun(arguments.json, {**environment(setting), "request": count, "seeds": arguments.seeds}, "plans")
    for unlearner, adversary, horizon in itertools.product(
        arguments.unlearners, arguments.adversaries, arguments.horizons
    ):
        named = {"unlearner": repr(UNLEARNERS[unlearner]), "adversary": adversary}
        asked = {"horizon": horizon, "tolerance": arguments.tolerance}
        if any(
            all(p[k] == v for k, v in named.items())
            and all(p["question"][k] == v for k, v in asked.items())
            and p["curve"]["shares"] == arguments.sizes
            for p in record["plans"]
        ):
            continue
        started = time.perf_counter()
        with Progress() as progress:
            plan = plan_reserve(
                setting.task,
                setting.samples,
                setting.test,
                setting.recipe,
                **requests_of(adversary, count),
                validation=setting.validation,
                horizon=horizon,
                tolerance=arguments.tolerance,
                unlearner=UNLEARNERS[unlearner],
                sizes=arguments.sizes,
                seeds=range(arguments.seeds),
                callbacks=[progress],
            )
        seconds = time.perf_counter() - started
        print(f"\n{unlearner}, {adversary}, {horizon} requests ({seconds:.0f} s)\n{plan}", flush=True)
        record["plans"].append({**named, "seconds": round(seconds, 1), **plan.to_json()})
        write(arguments.json, record)


if __name__ == "__main__":
    main()
