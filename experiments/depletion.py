"""What becomes of healing when 10, 30, 50 and 100 % of the reserve are spent, with gold and the control beside?

    python experiments/depletion.py --dataset digits --json experiments/results/depletion-digits.json

The reserve is 10 % of the samples, and each request names 1 % of all. Larger data sets are cut to `--samples`; their
files are looked for in the folder named by UNSCATHED_DATA.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from planning_setups import ADVERSARIES, UNLEARNERS, Setting, environment, requests_of
from unscathed.planning import depletion
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
    record = {**environment(setting), "request": count, "runs": []}
    for unlearner in arguments.unlearners:
        for adversary in arguments.adversaries:
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
                    seeds=range(arguments.seeds),
                    callbacks=[progress],
                )
            seconds = time.perf_counter() - started
            print(f"\n{unlearner}, {adversary} ({seconds:.0f} s)\n{found}", flush=True)
            named = {"unlearner": repr(UNLEARNERS[unlearner]), "adversary": adversary, "seconds": round(seconds, 1)}
            record["runs"].append({**named, **found.to_json()})
            if arguments.json:
                arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
