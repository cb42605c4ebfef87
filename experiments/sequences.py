"""What becomes of a model after a hundred requests, each healed, beside gold; and what training anew gives.

    python experiments/sequences.py --json experiments/results/sequences-digits.json

Requests of a few samples at random follow each other through a real `Steward`; after some of them the model is
measured beside gold, trained from scratch on what is retained by then. Two stewards: one heals after each request, one
heals and trains anew when `Consolidation` says so. What the file has is not done again.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

from unscathed import (
    Consolidation,
    Fisher,
    GradientAscent,
    Healer,
    Samples,
    SpareSet,
    Steward,
    Trained,
    Unlearner,
    fit,
)
from unscathed.adversaries import BlindView, Random
from unscathed.lab.provenance import provenance
from unscathed.lab.setups import setup
from unscathed.training.checkpoint import write_atomically

UNLEARNERS: dict[str, Unlearner] = {"Fisher": Fisher(), "GradientAscent": GradientAscent()}
POLICIES = {"heal": None, "heal, consolidate": Consolidation()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--size", type=int, default=4, help="samples a request")
    parser.add_argument("--looks", type=int, nargs="+", default=[1, 10, 25, 50, 100], help="after which requests")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    known = provenance()
    record: dict[str, Any] = {
        "dataset": "digits",
        "requests": arguments.requests,
        "size": arguments.size,
        "command": f"python experiments/{known['command']}",
        "versions": json.loads(known["versions"]),
        "processor": known["processor"],
        "commit": known["commit"],
        "rows": [],
    }
    if arguments.json and arguments.json.exists():
        earlier = json.loads(arguments.json.read_text())
        if all(earlier[name] == record[name] for name in ("requests", "size", "commit")):
            record["rows"] = earlier["rows"]
    for seed in range(arguments.seeds):
        for name, unlearner in UNLEARNERS.items():
            for policy, consolidation in POLICIES.items():
                if any((r["seed"], r["unlearner"], r["policy"]) == (seed, name, policy) for r in record["rows"]):
                    continue
                common = {"seed": seed, "unlearner": name, "policy": policy}
                rows = endured(seed, unlearner, consolidation, arguments.requests, arguments.size, arguments.looks)
                record["rows"] += [{**common, **row} for row in rows]
                if arguments.json:
                    write_atomically(arguments.json, (json.dumps(record, indent=1) + "\n").encode())
                for row in rows:
                    print(common, row, flush=True)


def endured(
    seed: int,
    unlearner: Unlearner,
    consolidation: Consolidation | None,
    requests: int,
    size: int,
    looks: list[int],
) -> list[dict[str, Any]]:
    """The model after some of the requests, beside gold."""
    made = setup("digits")
    samples, spares = made.samples.split(reserve=0.15, seed=seed)
    original = fit(made.task, samples, made.recipe, seed=seed)
    steward = Steward(
        original,
        samples,
        SpareSet(spares, shortfall="partial"),
        unlearner=unlearner,
        healer=Healer(),
        # Drift is watched on one half of the test samples, and told of the other.
        test=(halves := made.test.split(reserve=0.5, seed=seed))[0],
        consolidation=consolidation,
    )
    order = Random(requests * size, seed=seed).choose(BlindView(samples))
    forgotten: list[str] = []
    rows, started, steps, anew = [], time.perf_counter(), 0, 0
    for number in range(1, requests + 1):
        wanted = order[(number - 1) * size : number * size]
        before = len(steward.trained.history)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = steward.forget(wanted)
        forgotten += wanted
        done = outcome.history[before:]
        steps += sum(event.steps for event in done)
        anew += any("consolidated" in event.details for event in done)
        if number in looks:
            rows.append(
                {
                    "request": number,
                    **beside(steward.trained, original, samples, forgotten, halves[1]),
                    "spares_left": len(steward.reserve),
                    "steps": steps,
                    "trained_anew": anew,
                    "seconds": round(time.perf_counter() - started, 1),
                }
            )
    return rows


def beside(
    model: Trained, original: Trained, samples: Samples, forgotten: list[str], test: Samples
) -> dict[str, float]:
    """Scores in percent, and gold's."""
    gold = fit(original.task, samples.without(forgotten), original.recipe, seed=original.seed + 1000)
    gone = samples.only(forgotten)
    return {
        "score": 100 * model.score(test),
        "gold_score": 100 * gold.score(test),
        "forget_score": 100 * model.score(gone),
        "gold_forget_score": 100 * gold.score(gone),
        "gold_steps": gold.history[0].steps,
    }


if __name__ == "__main__":
    main()
