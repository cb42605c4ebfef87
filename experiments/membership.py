"""Which attack sees memory, of which samples, and with how many shadow models?

    python experiments/membership.py [--dataset digits mnist] [--samples 4000] [--seeds 3]

For each seed, a part of the data gets some wrong labels (canaries) and is split: a model is trained on 60 % of it, and
the rest is unseen; shadow models are trained on halves of all. Three requests are asked about: the samples that are
most memorised, as other shadow models find them (those that attack would be flattered), the canaries, and random ones.
Each attack scores the requested and the unseen samples in the original model, in gold, and in a second gold from
another seed, which no audit may flag. Areas are taken class by class and judged as the audit does, against gold.

Spreads are over seeds, each with its own part of the data, canaries, models and requests.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unscathed import BlindView, Recipe, Retrain, Samples, Shadows, Task, Tolerance, Trained, fit, fit_shadows
from unscathed.adversaries import Memorised, Random, plant_canaries
from unscathed.audit import Attack, Check, Lira, Rmia, compare_membership, true_positives
from unscathed.lab.provenance import provenance
from unscathed.lab.setups import setup
from unscathed.training.checkpoint import write_atomically

COUNTS = (2, 4, 8, 16)
RATES = (0.01, 0.001)
ASKED = 0.04
CANARIES = 0.02
ATTACKS: dict[str, Attack] = {
    "LiRA online": Lira(),
    "LiRA offline": Lira(online=False),
    "RMIA online": Rmia(),
    "RMIA online, γ = 2": Rmia(gamma=2.0),
    "RMIA offline": Rmia(online=False),
    "RMIA offline, a = 0.3": Rmia(online=False, offline_a=0.3),
}
POPULATION = "population"
Scores = tuple[Tensor, Tensor]


@dataclass
class Case:
    """One seed's models and requests."""

    task: Task
    samples: Samples
    unseen: Samples
    test: Samples
    shadows: Shadows
    original: Trained
    requests: dict[str, tuple[str, ...]]
    recipe: Recipe


def prepare(name: str, samples: int, seed: int) -> Case:
    root = os.environ.get("UNSCATHED_DATA")
    made = setup(name, Path(root) / name if root and name != "digits" else None)
    part = made.samples
    if samples < len(part):
        _, part = part.split(reserve=samples, seed=seed)
    pool, canaries = plant_canaries(part, round(CANARIES * len(part)), seed=seed)
    planted = set(canaries)
    members, others = pool.split(reserve=0.4, seed=seed)
    unseen = others.without(i for i in others.ids if i in planted)
    honest = BlindView(members.without(i for i in members.ids if i in planted))
    choosing = fit_shadows(made.task, pool, made.recipe, 8, seed=seed + 1000)
    count = round(ASKED * len(members))
    requests = {
        "memorised": Memorised(count, shadows=choosing).choose(honest),
        "canaries": tuple(i for i in members.ids if i in planted),
        "random": Random(count, seed=seed).choose(honest),
    }
    shadows = fit_shadows(made.task, pool, made.recipe, COUNTS[-1], seed=seed)
    original = fit(made.task, members, made.recipe, seed=seed)
    return Case(made.task, members, unseen, made.test, shadows, original, requests, made.recipe)


def measure(case: Case) -> dict[str, Any]:
    """By request and attack: areas and true positives of each model, by number of shadow models."""
    found: dict[str, Any] = {}
    for request, ids in case.requests.items():
        asked = case.samples.only(ids)
        models = {"original": case.original}
        for name, seed in (("gold", case.original.seed), ("other gold", case.original.seed + 500)):
            models[name] = Retrain().unlearn(case.original, case.samples, ids, seed=seed)
        table: dict[str, Any] = {POPULATION: {"0": judged(case, asked, models, population)}}
        for name, attack in ATTACKS.items():
            table[name] = {}
            for count in COUNTS:
                shadows = Shadows(case.shadows.models[:count], case.shadows.inside[:count])
                table[name][str(count)] = judged(case, asked, models, partial(attacked, attack, shadows))
        accuracy = {name: model.score(asked) for name, model in models.items()}
        found[request] = {"samples": len(ids), "accuracy": accuracy, "attacks": table}
    return found


def attacked(attack: Attack, shadows: Shadows, model: Trained, asked: Samples, unseen: Samples) -> Scores:
    return attack.attack(model, shadows, asked, unseen=unseen)


def population(model: Trained, asked: Samples, unseen: Samples) -> Scores:
    return model.evaluate(asked).margins, model.evaluate(unseen).margins


def judged(
    case: Case, asked: Samples, models: dict[str, Trained], scores: Callable[[Trained, Samples, Samples], Scores]
) -> dict[str, Any]:
    seen = {name: scores(model, asked, case.unseen) for name, model in models.items()}
    labels = (case.task.labels(asked.targets), case.task.labels(case.unseen.targets))
    bound = Tolerance().membership
    found: dict[str, Any] = {}
    for name, (ours, others) in seen.items():
        against = compare_membership(ours, others, *seen["gold"], *labels)
        found[name] = {
            "auc": against.value,
            "outcome": Check("AUC", against, -bound, bound).outcome,
            "without_gold": Check(
                "AUC",
                compare_membership(ours, others, forgotten_labels=labels[0], unseen_labels=labels[1]),
                None,
                bound,
            ).outcome,
        }
        for rate in RATES:
            positives = true_positives(ours, others, rate)
            if positives.resolved:
                found[name][f"tpr_{rate}"] = positives.value
    return found


def summarised(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means and standard deviations over seeds, and how many seeds' models were flagged."""
    summary: dict[str, Any] = {}
    for request, part in runs[0].items():
        summary[request] = {}
        for attack, by_count in part["attacks"].items():
            summary[request][attack] = {}
            for count, by_model in by_count.items():
                entry: dict[str, Any] = {}
                each = [run[request]["attacks"][attack][count] for run in runs]
                for model, measures in by_model.items():
                    for key in measures:
                        values = [one[model][key] for one in each]
                        name = f"{model} {key}"
                        entry[name] = values.count("fail") if isinstance(values[0], str) else spread(values)
                entry["auc over gold"] = spread([one["original"]["auc"] - one["gold"]["auc"] for one in each])
                entry["other gold over gold"] = spread([one["other gold"]["auc"] - one["gold"]["auc"] for one in each])
                summary[request][attack][count] = entry
    return summary


def spread(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.fmean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0}


def show(name: str, record: dict[str, Any]) -> None:
    seeds = len(record["seeds"])
    for request, table in record["summary"].items():
        asked = [run[request]["samples"] for run in record["runs"]]
        unseen = record["sizes"]["unseen"]
        print(f"\n{name}, {request} ({min(asked)} to {max(asked)} samples, {unseen} unseen), {seeds} seeds\n")
        headings = ["attack", "shadow models", "AUC: original", "gold", "difference", "TPR at 1 %: original", "gold"]
        headings += ["flagged: original", "another gold", "without gold: original", "gold"]
        print("| " + " | ".join(headings) + " |\n| --- |" + " ---: |" * (len(headings) - 1))
        for attack, by_count in table.items():
            for count, e in by_count.items():
                cells = [attack, count if attack != POPULATION else "none", pm(e["original auc"]), pm(e["gold auc"])]
                cells += [pm(e["auc over gold"], "+"), pm(e["original tpr_0.01"]), pm(e["gold tpr_0.01"])]
                cells += [f"{e[key]} of {seeds}" for key in ("original outcome", "other gold outcome")]
                cells += [f"{e[key]} of {seeds}" for key in ("original without_gold", "gold without_gold")]
                print("| " + " | ".join(cells) + " |")


def pm(entry: dict[str, float], sign: str = "") -> str:
    return f"{entry['mean']:{sign}.3f} ± {entry['sd']:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", nargs="+", default=["digits"], choices=["digits", "mnist"])
    parser.add_argument("--samples", type=int, default=4000, help="drawn anew each seed, members and unseen")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.dataset:
        command = f"python experiments/membership.py --dataset {name} --samples {args.samples} --seeds {args.seeds}"
        place = args.out / f"membership-{name}.json"
        record: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {}
        if record.get("command") != command:  # the same command goes on where it was cut off
            kept = {k: provenance()[k] for k in ("commit", "code", "versions", "processor", "accelerator")}
            attacks = {k: repr(attack) for k, attack in ATTACKS.items()}
            record = {"command": command, **kept, "threads": 1, "attacks": attacks, "tolerance": repr(Tolerance())}
            record |= {"seeds": [], "test_accuracy": {"each": []}, "seconds": [], "runs": []}
        for seed in range(len(record["seeds"]), args.seeds):
            started = time.perf_counter()
            case = prepare(name, args.samples, seed)
            record["sizes"] = {"members": len(case.samples), "unseen": len(case.unseen), "test": len(case.test)}
            record["recipe"] = repr(case.recipe)
            record["runs"].append(measure(case))
            record["seeds"].append(seed)
            each = [*record["test_accuracy"]["each"], case.original.score(case.test)]
            record["test_accuracy"] = {**spread(each), "each": each}
            record["seconds"].append(round(time.perf_counter() - started))
            record["summary"] = summarised(record["runs"])
            write_atomically(place, (json.dumps(record, indent=1) + "\n").encode())
            print(f"{name} seed {seed}: test {each[-1]:.4f}, {record['seconds'][-1]} s", flush=True)
        show(name, record)


if __name__ == "__main__":
    main()
