"""What does a warm start from the reserve give a short retraining, and what does it leave of the forgotten?

    python experiments/warm_start.py [--case digits mnist cifar10 cifar10-features] [--seeds 5] [--out FOLDER]

For each seed a model is trained on a part of the data, and a share of it is held back. The 5 % of the training samples
that the model is least sure of are asked for (`OutputAware`: gold does badly on them, so memory would show). Then
`ShortRetraining` for 5 to 40 % of the steps: from fresh weights; the same on retained samples and all spares, which is
what these are worth as training data; and from a warm start, a model that was trained beforehand on the spares alone
for as many steps as gold, at two rates. Beside gold stands one that was trained on the spares too: a warm start has
seen more than gold. Larger data sets are cut; their files are looked for in the folder named by UNSCATHED_DATA. What a
file of an earlier run with the same settings has is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planning_setups import Setting
from unscathed import Flip, Recipe, Retrain, Samples, Shift, ShortRetraining, Task, Trained, fit
from unscathed.adversaries import OutputAware, OutputView
from unscathed.lab.provenance import provenance
from unscathed.lab.setups import setup
from unscathed.training import Progress
from unscathed.training.checkpoint import write_atomically

CASES = ("digits", "mnist", "cifar10", "cifar10-features")
MOST, TEST = 8000, 4000
ASKED = 0.05
SHARES = (0.05, 0.1, 0.2, 0.4)
RESERVES = (0.05, 0.1, 0.2)
"""Of the samples, held back; the one in the middle has all ways, the others a warm start at one rate."""
RATES = (0.5, 0.25)


@dataclass(frozen=True)
class Case:
    """Data, task and recipe."""

    samples: Samples
    test: Samples
    task: Task
    recipe: Recipe

    @classmethod
    def of(cls, name: str) -> Case:
        if name == "cifar10-features":
            made = Setting.of("cifar10", 6000)
            return cls(made.samples, made.test + made.validation, made.task, made.recipe)
        root = os.environ.get("UNSCATHED_DATA")
        place = Path(root) / name if root and name != "digits" else None
        if name == "cifar10":
            recipe = Recipe(epochs=8, batch_size=128, learning_rate=4e-3, augment=(Flip(), Shift(2)))
            found = setup(name, place, model="SmallNet", recipe=recipe)
        else:
            found = setup(name, place)
        samples, test = found.samples, found.test
        samples = samples.split(reserve=MOST, seed=0)[1] if len(samples) > MOST else samples
        test = test.split(reserve=TEST, seed=0)[1] if len(test) > TEST else test
        return cls(samples, test, found.task, found.recipe)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    for name in arguments.case:
        case, place = Case.of(name), arguments.out / f"warm-start-{name}.json"
        known = provenance()
        record: dict[str, Any] = {
            "command": f"python experiments/warm_start.py --case {name} --seeds {arguments.seeds}",
            "samples": len(case.samples),
            "test": len(case.test),
            "recipe": case.recipe.to_json(),
            "commit": known["commit"],
            "versions": json.loads(known["versions"]),
            "processor": known["processor"],
            "rows": [],
        }
        earlier: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {}
        if earlier and all(earlier[k] == record[k] for k in ("samples", "test", "recipe", "commit")):
            record["rows"] = earlier["rows"]
        with Progress() as progress:
            progress.on_start(name, arguments.seeds * len(RESERVES))
            for number, (seed, reserve) in enumerate((s, r) for s in range(arguments.seeds) for r in RESERVES):
                if all((row["seed"], row["reserve"]) != (seed, reserve) for row in record["rows"]):
                    record["rows"] += list(rows(case, seed, reserve))
                    write_atomically(place, (json.dumps(record, indent=1) + "\n").encode())
                progress.on_step(number + 1)
        print(f"\n{name}: {references(record['rows'])}\n\n{table(record['rows'])}", flush=True)


def rows(case: Case, seed: int, reserve: float) -> Iterator[dict[str, Any]]:
    samples, spares = case.samples.split(reserve=reserve, seed=seed)
    original = fit(case.task, samples, case.recipe, seed=seed)
    forget = OutputAware(ASKED).choose(OutputView(original, samples))
    forgotten = samples.only(forget)
    gold = Retrain().unlearn(original, samples, forget)
    whole = gold.history[-1].steps
    start = fit(case.task, spares, case.recipe.lasting(steps=whole), seed=seed)

    def row(way: str, share: float, model: Trained, steps: int) -> dict[str, Any]:
        scores = {"test": 100 * model.score(case.test), "forgotten": 100 * model.score(forgotten)}
        return {"seed": seed, "reserve": reserve, "way": way, "share": share, "steps": steps, **scores}

    yield row("gold", 1.0, gold, whole)
    more = samples.without(forget) + spares
    yield row("gold, spares too", 1.0, fit(case.task, more, case.recipe, seed=seed), case.recipe.total_steps(len(more)))
    yield row("original", 1.0, original, original.history[0].steps)
    yield row("warm start", 0.0, start, whole)
    ways: dict[str, dict[str, Any]] = {f"warm start, rate {RATES[0]}": {"start": start, "learning_rate": RATES[0]}}
    if reserve == RESERVES[1]:
        ways |= {"fresh": {}, f"warm start, rate {RATES[1]}": {"start": start, "learning_rate": RATES[1]}}
    for share in SHARES:
        for way, with_what in ways.items():
            short = ShortRetraining(share=share, **with_what).unlearn(original, samples, forget)
            yield row(way, share, short, short.history[-1].steps)
        if reserve == RESERVES[1]:
            recipe = case.recipe.lasting(steps=round(share * whole))
            yield row("fresh, spares too", share, fit(case.task, more, recipe, seed=seed), round(share * whole))


def references(found: list[dict[str, Any]]) -> str:
    middle = [r for r in found if r["reserve"] == RESERVES[1]]
    parts = []
    for way in ("gold", "gold, spares too", "original", "warm start"):
        test, known = (spread([r[k] for r in middle if r["way"] == way]) for k in ("test", "forgotten"))
        parts.append(f"{way}: {test} on test, {known} on the forgotten")
    return f"{'; '.join(parts)}; gold {middle[0]['steps']} steps"


def table(found: list[dict[str, Any]]) -> str:
    """Test and forgotten, each less gold's of the same seed and reserve, by share of the steps."""
    golds = {(r["seed"], r["reserve"]): r for r in found if r["way"] == "gold"}
    ways = dict.fromkeys((r["reserve"], r["way"]) for r in found if 0 < r["share"] < 1)
    ways |= dict.fromkeys((reserve, "gold, spares too") for reserve in RESERVES)
    head = " | ".join(f"{share:.0%} of the steps".replace("%", " %") for share in SHARES)
    lines = [f"| test; forgotten, less gold's | {head} |", "| --- |" + " ---: |" * len(SHARES)]
    for reserve, way in sorted(ways, key=lambda way: (way[0] != RESERVES[1], way)):
        cells = []
        for share in SHARES if not way.startswith("gold") else (1.0,):
            of = [r for r in found if (r["reserve"], r["way"], r["share"]) == (reserve, way, share)]
            test, known = (
                spread([r[k] - golds[r["seed"], r["reserve"]][k] for r in of], sign="+") for k in ("test", "forgotten")
            )
            cells.append(f"{test}; {known}" + (" (all steps)" if share == 1 else ""))
        cells += [""] * (len(SHARES) - len(cells))
        lines.append(f"| reserve {reserve:.0%}: {way} | ".replace("%", " %") + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread(values: list[float], sign: str = "") -> str:
    around = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{sign}.1f}{around}".replace("-", "−")


if __name__ == "__main__":
    main()
