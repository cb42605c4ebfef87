"""Which distance finds the twins that matter? Learned similarities against the standard ones.

    python experiments/similarities.py [--dataset digits mnist cifar10] [--samples 6000] [--seeds 5] [--heal]

For each seed, a model is trained on a part of the data, and 25 hard samples (`OutputAware`) and 25 random ones find
their twins among spares by every distance. Twins are alike in what matters where the model learns the same from both:
the cosine between the gradients of their losses. Beside it stand what a random spare of the class would have, and the
best that any would. Twins are also sought across classes, to see whether they are of the class nevertheless. With
``--heal``, the hard samples are unlearned by `Fisher`, and the model is healed with each distance's twins.

Spreads are over seeds, each with its own part of the data, model and request.
"""

import argparse
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unscathed import (
    Cosine,
    Euclidean,
    Features,
    Fisher,
    Healer,
    Mahalanobis,
    Raw,
    Retrain,
    Samples,
    Siamese,
    SpareSet,
    Trained,
    fit,
)
from unscathed.adversaries import BlindView, OutputAware, OutputView, Random
from unscathed.curvature import ModelFunction
from unscathed.lab.provenance import provenance
from unscathed.lab.setups import Setup, setup
from unscathed.similarity import Similarity, Space
from unscathed.training.checkpoint import write_atomically

ASKED = 25
AT_ONCE = 64
REFERENCE = "features cosine"
DISTANCES: dict[str, Callable[[Space, int], Similarity]] = {
    "L2": lambda space, _: Euclidean(space),
    "cosine": lambda space, _: Cosine(space),
    "Mahalanobis": lambda space, _: Mahalanobis(space),
    "Siamese class": lambda space, seed: Siamese(space, pairs="class", seed=seed),
    "Siamese self": lambda space, seed: Siamese(space, pairs="self", seed=seed),
}
SPACES: dict[str, Space] = {"raw": Raw(), "features": Features()}
Measures = dict[str, float]


@dataclass
class Case:
    """One seed's model, spares and requests."""

    made: Setup
    retain: Samples
    spares: Samples
    trained: Trained
    requests: dict[str, tuple[str, ...]]
    seed: int


def prepare(name: str, samples: int, reserve: float, seed: int) -> Case:
    root = os.environ.get("UNSCATHED_DATA")
    made = setup(name, Path(root) / name if root and name != "digits" else None)
    part = made.samples
    if samples < len(part):
        _, part = part.split(reserve=samples, seed=seed)
    retain, spares = part.split(reserve=reserve, seed=seed)
    trained = fit(made.task, retain, made.recipe, seed=seed)
    requests = {
        "hard": OutputAware(ASKED).choose(OutputView(trained, retain)),
        "random": Random(ASKED, seed=seed).choose(BlindView(retain)),
    }
    return Case(made, retain, spares, trained, requests, seed)


def gradients(function: ModelFunction, samples: Samples) -> Iterator[Tensor]:
    """The gradient of each sample's loss, of unit length, [few, p] at a time."""
    for batch in function.batches(samples, AT_ONCE):
        rows = torch.cat([part.flatten(1) for part in function.sample_gradients(batch).values()], dim=1)
        yield torch.nn.functional.normalize(rows.double(), dim=1).float()


def alike(function: ModelFunction, forget: Samples, spares: Samples) -> Tensor:
    """Cosines between the gradients of forgotten samples and of spares, [f, s]."""
    ours = torch.cat(list(gradients(function, forget)))
    # A few spares at a time, since all their gradients at once would fill the memory.
    return torch.cat([ours @ theirs.T for theirs in gradients(function, spares)], dim=1).cpu()


def measure(case: Case, *, heal: bool) -> dict[str, dict[str, Measures]]:
    """By request and distance: what was measured."""
    function = ModelFunction(case.trained)
    labels = case.spares.targets
    reserves = {
        f"{where} {name}": SpareSet(case.spares, make(space, case.seed), shortfall="partial")
        for where, space in SPACES.items()
        for name, make in DISTANCES.items()
    }
    found: dict[str, dict[str, Measures]] = {}
    for request, ids in case.requests.items():
        forget = case.retain.only(ids)
        cosines = alike(function, forget, case.spares)
        same = forget.targets[:, None] == labels
        table: dict[str, Measures] = {
            "random spare": {
                "gradient": float((cosines * same).sum(1).div(same.sum(1)).mean()),
                "gradient_across": float(cosines.mean()),
                "agreement": float(same.float().mean()),
            },
            "best spare": {
                "gradient": float(cosines.masked_fill(~same, -1).amax(dim=1).mean()),
                "gradient_across": float(cosines.amax(dim=1).mean()),
                "agreement": float(same.gather(1, cosines.argmax(dim=1, keepdim=True)).float().mean()),
            },
        }
        healing = Healing(case, forget) if heal and request == "hard" else None
        if healing:
            table["random spare"]["healed"] = healing.accuracy(random_twins(case, forget))
            table["random spare"]["gold"] = healing.gold
            table["random spare"]["unlearned"] = healing.unlearned.score(case.made.test)
            table["random spare"]["healed_without_twins"] = healing.accuracy(None)
        for name, reserve in reserves.items():
            measured: Measures = {}
            for across in (False, True):
                reserve.across_classes = across
                started = time.perf_counter()
                twins = reserve.match(forget, case.trained)
                # The distance is learned when it is first asked.
                measured.setdefault("seconds", time.perf_counter() - started)
                rows = torch.tensor([forget.ids.index(i) for i in twins.spare_of])
                columns = case.spares.positions(twins.spare_of.values())
                gradient = float(cosines[rows, columns].mean())
                if across:
                    measured["gradient_across"] = gradient
                    measured["agreement"] = float(same[rows, columns].float().mean())
                else:
                    measured |= {"gradient": gradient, "twins": len(twins)}
                    if healing:
                        measured["healed"] = healing.accuracy(twins.samples)
            table[name] = measured
        found[request] = table
    return found


class Healing:
    """The hard samples unlearned, to be healed with one or another's twins."""

    def __init__(self, case: Case, forget: Samples) -> None:
        self.test = case.made.test
        self.left = case.retain.without(forget.ids)
        self.unlearned = Fisher().unlearn(case.trained, case.retain, forget.ids)
        self.gold = Retrain().unlearn(case.trained, case.retain, forget.ids).score(self.test)

    def accuracy(self, twins: Samples | None) -> float:
        return Healer().heal(self.unlearned, retain=self.left, twins=twins).score(self.test)


def random_twins(case: Case, forget: Samples) -> Samples:
    """As many spares of the same classes, at random."""
    order = torch.randperm(len(case.spares), generator=torch.Generator().manual_seed(case.seed)).tolist()
    wanted = forget.targets.tolist()
    taken = []
    for position in order:
        label = int(case.spares.targets[position])
        if label in wanted:
            wanted.remove(label)
            taken.append(position)
    return case.spares.at(torch.tensor(taken))


def summarised(runs: list[dict[str, dict[str, Measures]]]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Means and standard deviations over seeds, and those of the differences from features' cosine, seed by seed."""
    summary: dict[str, dict[str, dict[str, dict[str, float]]]] = defaultdict(lambda: defaultdict(dict))
    for request, table in runs[0].items():
        for name, measures in table.items():
            for key in measures:
                values = [run[request][name][key] for run in runs]
                entry = spread(values)
                if key in table[REFERENCE] and key not in ("seconds", "twins"):
                    other = [run[request][REFERENCE][key] for run in runs]
                    differences = spread([a - b for a, b in zip(values, other, strict=True)])
                    entry |= {"over_cosine": differences["mean"], "over_cosine_sd": differences["sd"]}
                    entry["seeds_above_cosine"] = sum(a > b for a, b in zip(values, other, strict=True))
                summary[request][name][key] = entry
    return summary


def spread(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.fmean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0}


def show(name: str, summary: dict[str, dict[str, dict[str, dict[str, float]]]], seeds: int) -> None:
    for request, table in summary.items():
        healed = any("healed" in m for m in table.values())
        print(f"\n{name}, {ASKED} {request} samples, {seeds} seeds: mean ± standard deviation\n")
        headings = ["distance", "gradients' cosine", f"less {REFERENCE}'s (seeds above)"]
        headings += ["across classes: of the class, %", "gradients' cosine", *(["s", "healed, %"] if healed else [])]
        print("| " + " | ".join(headings) + " |\n| --- |" + " ---: |" * (len(headings) - 1))
        for row, measures in table.items():
            gradient = measures["gradient"]
            cells = [row, pm(gradient), f"{gradient['over_cosine']:+.3f} ± {gradient['over_cosine_sd']:.3f}"]
            cells[-1] += f" ({gradient['seeds_above_cosine']:.0f})"
            cells += [pm(measures["agreement"], 100, 1), pm(measures["gradient_across"])]
            if healed:
                cells += [f"{measures['seconds']['mean']:.1f}" if "seconds" in measures else ""]
                cells += [pm(measures["healed"], 100, 2) if "healed" in measures else ""]
            print("| " + " | ".join(cells) + " |")
        if healed:
            control = table["random spare"]
            kinds = ("gold", "unlearned", "healed_without_twins")
            print("\n" + "; ".join(f"{k.replace('_', ' ')} {pm(control[k], 100, 2)} %" for k in kinds))


def pm(entry: dict[str, float], times: float = 1, digits: int = 3) -> str:
    return f"{times * entry['mean']:.{digits}f} ± {times * entry['sd']:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", nargs="+", default=["digits"], choices=["digits", "mnist", "cifar10"])
    parser.add_argument("--samples", type=int, default=6000, help="training samples and spares, drawn anew each seed")
    parser.add_argument("--reserve", type=float, default=0.2, help="share of them held back")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--heal", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.dataset:
        command = (
            f"python experiments/similarities.py --dataset {name} --samples {args.samples} --reserve {args.reserve}"
        )
        command += f" --seeds {args.seeds}{' --heal' if args.heal else ''}"
        place = args.out / f"similarities-{name}.json"
        record: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {}
        if record.get("command") != command:  # the same command goes on where it was cut off
            kept = {k: provenance()[k] for k in ("commit", "code", "versions", "processor", "accelerator")}
            similarities = {k: repr(make(SPACES["features"], 0)) for k, make in DISTANCES.items()}
            record = {"command": command, **kept, "threads": 1, "asked": ASKED, "similarities": similarities}
            record |= {"seeds": [], "test_accuracy": {"each": []}, "runs": []}
        for seed in range(len(record["seeds"]), args.seeds):
            started = time.perf_counter()
            case = prepare(name, args.samples, args.reserve, seed)
            record["sizes"] = {"retained": len(case.retain), "spares": len(case.spares), "test": len(case.made.test)}
            record["runs"].append(measure(case, heal=args.heal))
            record["seeds"].append(seed)
            each = [*record["test_accuracy"]["each"], case.trained.score(case.made.test)]
            record["test_accuracy"] = {**spread(each), "each": each}
            record["summary"] = summarised(record["runs"])
            write_atomically(place, (json.dumps(record, indent=1) + "\n").encode())
            print(f"{name} seed {seed}: test {each[-1]:.4f}, {time.perf_counter() - started:.0f} s", flush=True)
        show(name, record["summary"], args.seeds)


if __name__ == "__main__":
    main()
