"""What becomes of healing when 10, 30, 50 and 100 % of the reserve are spent, with gold and the control beside?

    python experiments/depletion.py --dataset digits --json experiments/results/depletion-digits.json

The reserve is 10 % of the samples, and each request names 1 % of all. What a file of an earlier run with the same
settings has is not done again. Larger data sets are cut to `--samples`; their
files are looked for in the folder named by UNSCATHED_DATA.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from pathlib import Path
from typing import Any

from planning_setups import ADVERSARIES, UNLEARNERS, Setting, begun, environment, requests_of, write
from unscathed.planning import Depletion, depletion
from unscathed.planning.depletion import DepletionRow
from unscathed.training import Progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--samples", type=int, default=6000, help="the most samples, the reserve among them")
    parser.add_argument("--share", type=float, default=0.1, help="of the samples that is held back")
    parser.add_argument("--levels", type=float, nargs="+", default=[0.1, 0.3, 0.5, 1.0])
    parser.add_argument("--request", type=float, default=0.01, help="what a request names, as a share of the samples")
    parser.add_argument("--adversaries", nargs="+", choices=ADVERSARIES, default=["random", "parameter-aware"])
    parser.add_argument("--unlearners", nargs="+", choices=list(UNLEARNERS), default=["fisher", "gradient-ascent"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    setting = Setting.of(arguments.dataset, arguments.samples)
    count = round(arguments.request * len(setting.samples))
    record = begun(arguments.json, {**environment(setting), "request": count}, "runs")
    for unlearner, adversary in itertools.product(arguments.unlearners, arguments.adversaries):
        named: dict[str, Any] = {"unlearner": repr(UNLEARNERS[unlearner]), "adversary": adversary}
        named |= {"share": arguments.share, "levels": arguments.levels}
        run = next((r for r in record["runs"] if {k: r[k] for k in named} == named), None)
        if run is None:
            record["runs"].append(run := {**named, "seconds": 0.0, "seeds": [], "rows": []})
        for seed in [s for s in range(arguments.seeds) if s not in run["seeds"]]:  # the others an earlier run has
            started = time.perf_counter()
            with Progress() as progress:
                found = depletion(
                    setting.task,
                    setting.samples,
                    setting.test,
                    setting.recipe,
                    **requests_of(adversary, count),
                    validation=setting.validation,
                    share=arguments.share,
                    levels=arguments.levels,
                    unlearner=UNLEARNERS[unlearner],
                    seeds=[seed],
                    callbacks=[progress],
                ).to_json()
            seconds = round(run["seconds"] + time.perf_counter() - started, 1)
            run |= {**found, "seconds": seconds, "seeds": [*run["seeds"], seed], "rows": run["rows"] + found["rows"]}
            write(arguments.json, record)
        print(f"\n{unlearner}, {adversary} ({run['seconds']:.0f} s)\n{read(run)}", flush=True)


def read(run: dict[str, Any]) -> Depletion:
    """What was written of a run."""
    rows = [DepletionRow(**{name: math.nan if v is None else v for name, v in row.items()}) for row in run["rows"]]
    return Depletion(
        requests=run["requests"],
        share=run["share"],
        levels=tuple(run["levels"]),
        seeds=tuple(run["seeds"]),
        rows=tuple(rows),
        percent=run["percent"],
    )


if __name__ == "__main__":
    main()
