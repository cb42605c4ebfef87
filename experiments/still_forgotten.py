"""Is it still forgotten, and were the twins poison? Signals without gold, against gold.

    python experiments/still_forgotten.py [--dataset digits mnist cifar10] [--samples 5000] [--seeds 5]

For each seed and request, gradient ascent without a budget collapses the model, and a tenth of its training steps on
retained samples heals it: what was only hidden comes back. Then

- signals: what each candidate says of gold (should be nothing), of the original (memory) and of the healed model;
- turns: `Alternation` and `OracleMatching` from the healed model, until `MemorySignal` shows nothing, and how far their
  margins on the forgotten are from gold's (and another gold's are);
- poison: the collapsed model healed for as many steps on other data: on twins, weighed twins, typical spares.

MNIST has a small multilayer perceptron, and CIFAR-10 images are halved to 16 pixels, so that 5 trainings a seed cost
little. Spreads are over seeds, each with its own part of the data, model, reserve and requests.
"""

import argparse
import json
import os
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from planning_setups import perceptron
from unscathed import (
    ClassificationTask,
    Flip,
    GradientAscent,
    Healer,
    Recipe,
    Retrain,
    Samples,
    Shift,
    SpareSet,
    Task,
    Trained,
    fit,
)
from unscathed.adversaries import (
    BlindView,
    HighestLoss,
    OneClass,
    OutputView,
    ParameterAware,
    ParameterView,
    Random,
)
from unscathed.audit.intervals import Difference, unpaired
from unscathed.audit.membership import compare_membership
from unscathed.healing import Alternation, MemorySignal, OracleMatching, Remedy, Typicality, typical_spares
from unscathed.lab.models import FastNet
from unscathed.lab.provenance import provenance
from unscathed.lab.setups import setup
from unscathed.training import tune
from unscathed.training.checkpoint import write_atomically

RESERVE, ASKED, TEST = 0.2, 0.05, 2000
ASCENT = {"digits": 0.5, "mnist": 0.2, "cifar10": 0.3}
MODELS = ("gold", "original", "healed")
REMEDIES: dict[str, Remedy] = {"turns": Alternation(), "matching": OracleMatching()}
REQUESTS = ("random", "parameter-aware", "one class", "highest loss")
Record = dict[str, Any]


@dataclass
class Case:
    """One seed's data and model."""

    task: Task
    recipe: Recipe
    retain: Samples
    spares: Samples
    test: Samples
    original: Trained
    seed: int

    @property
    def tenth(self) -> int:
        return max(1, round(0.1 * self.original.history[0].steps))


def halved(samples: Samples) -> Samples:
    inputs = nn.functional.avg_pool2d(samples.inputs.float(), 2).round().to(torch.uint8)
    return Samples(inputs, samples.targets, samples.ids, classes=samples.classes)


def prepare(name: str, samples: int, seed: int) -> Case:
    root = os.environ.get("UNSCATHED_DATA")
    made = setup(name, Path(root) / name if root and name != "digits" else None)
    part, test, task, recipe = made.samples, made.test, made.task, made.recipe
    if samples < len(part):
        _, part = part.split(reserve=samples, seed=seed)
    if len(test) > TEST:
        _, test = test.split(reserve=TEST, seed=0)
    if name == "mnist":
        task = ClassificationTask(perceptron, 10, normalise=task.normalise)
        recipe = Recipe(epochs=12, batch_size=64)
    if name == "cifar10":
        part, test = halved(part), halved(test)
        task = ClassificationTask(lambda: FastNet(10, (24, 48, 96)), 10, normalise=task.normalise)
        recipe = replace(recipe, epochs=12, batch_size=64, augment=(Flip(), Shift(1)))
    retain, spares = part.split(reserve=RESERVE, seed=seed)
    return Case(task, recipe, retain, spares, test, fit(task, retain, recipe, seed=seed), seed)


def requests(case: Case) -> dict[str, tuple[str, ...]]:
    """A twentieth of the training samples each: with ten classes, that is half of one."""
    return {
        "random": Random(ASKED, seed=case.seed).choose(BlindView(case.retain)),
        "parameter-aware": ParameterAware(ASKED).choose(
            ParameterView(case.original, case.retain, validation=case.test)
        ),
        "one class": OneClass(ASKED, seed=case.seed).choose(BlindView(case.retain)),
        "highest loss": HighestLoss(ASKED).choose(OutputView(case.original, case.retain)),
    }


def measure(case: Case, name: str, ids: tuple[str, ...]) -> Record:
    forgotten, left = case.retain.only(ids), case.retain.without(ids)
    gold = Retrain().unlearn(case.original, case.retain, ids)
    another = fit(case.task, left, case.recipe, seed=case.seed + 1000)
    collapsed = GradientAscent(kl_budget=None, learning_rate=ASCENT[name]).unlearn(case.original, case.retain, ids)
    healed = Healer(strategy="retain", steps=case.tenth).heal(collapsed, retain=left)
    twins = SpareSet(case.spares, shortfall="partial").match(forgotten, case.original)
    rest = case.spares.without(twins.spare_of.values())
    models = {"gold": gold, "original": case.original, "healed": healed}

    def scores(model: Trained) -> Record:
        return {"test": model.score(case.test), "forgotten": model.score(forgotten)}

    signal = MemorySignal.fit(case.original, retain=left, unseen=case.spares)
    from_spares = MemorySignal.fit(case.original, unseen=case.spares)
    found: Record = {
        "scores": {which: scores(model) for which, model in (*models.items(), ("collapsed", collapsed))},
        "signals": defaultdict(dict),
        "reference": signal.details,
    }
    for which, model in models.items():
        for candidate, says in candidates(case, model, forgotten, left, twins.spare_of, signal).items():
            found["signals"][candidate][which] = told(says)
        for candidate, made in (("reference, retained", signal), ("reference, spares", from_spares)):
            found["signals"][candidate][which] = told(made.of(model, forgotten))
    theirs = gold.evaluate(forgotten).margins

    def apart(model: Trained) -> float:
        return float((model.evaluate(forgotten).margins - theirs).abs().mean())

    found["margins"] = {"another gold": apart(another), "original": apart(case.original), "healed": apart(healed)}
    for name_of, remedy in REMEDIES.items():
        started = time.perf_counter()
        cured = remedy.heal(healed, forgotten=forgotten, signal=signal, retain=left)
        last = cured.history[-1]
        took = {"steps": last.steps / case.original.history[0].steps, "reached": last.details["forgotten"]}
        took["seconds"] = time.perf_counter() - started
        found[name_of] = {**scores(cured), **took, "turns": last.details["turns"], "memory": last.details["memory"]}
        found["margins"][name_of] = apart(cured)
    assert twins.samples is not None
    found["poison"], found["typicality"] = poison(case, collapsed, left, twins.samples, rest, scores)
    return found


def told(says: Difference) -> Record:
    return {"excess": says.difference, "low": says.low, "high": says.high}


def candidates(
    case: Case,
    model: Trained,
    forgotten: Samples,
    left: Samples,
    spare_of: Any,
    signal: MemorySignal,
) -> dict[str, Difference]:
    """Signals by margins: AUCs against unseen samples of the class, twins, and unseen ones of like difficulty."""
    unseen = case.spares  # no model here was healed on any of them
    ours, theirs = model.evaluate(forgotten).margins, model.evaluate(unseen).margins
    own = [model.evaluate(part).margins for part in (forgotten.only(spare_of), case.spares.only(spare_of.values()))]
    wins = (own[0] > own[1]).float()
    error = 1.96 * float(wins.var() / len(wins)) ** 0.5
    mean = float(wins.mean())
    labels = forgotten.targets, unseen.targets
    hard = {
        "neighbours": tuple(neighbours_agree(case, left, part) for part in (forgotten, unseen)),
        "reference margin": tuple(signal.references[0].evaluate(part).margins for part in (forgotten, unseen)),
    }
    (reference,) = signal.references
    gap = unpaired(
        model.evaluate(forgotten).scores - reference.evaluate(forgotten).scores,
        model.evaluate(unseen).scores - reference.evaluate(unseen).scores,
        (labels[0].bincount(minlength=10) / labels[1].bincount(minlength=10).clamp_min(1))[labels[1]],
    )
    found = {
        "reference, scores added": gap,
        "class": compare_membership(ours, theirs, forgotten_labels=labels[0], unseen_labels=labels[1]),
        "twins": Difference(mean, 0.5, mean - 0.5 - error, mean - 0.5 + error),
    }
    for which, (f, u) in hard.items():
        knots = u.quantile(torch.tensor([0.05, 0.15, 0.3, 0.5, 0.75]))

        def basis(of: Tensor, classes: Tensor, knots: Tensor = knots, u: Tensor = u) -> Tensor:
            bends = (of[:, None] - knots).clamp_min(0)
            return torch.cat(
                [torch.ones(len(of), 1), of[:, None], bends, nn.functional.one_hot(classes, 10)], dim=1
            ).double()

        there = basis(u, labels[1])
        gram = there.T @ there + 1e-2 * len(u) * torch.eye(there.shape[1], dtype=torch.double)
        solution = torch.linalg.solve(gram, there.T @ theirs.double())
        leverage = (there @ torch.linalg.inv(gram) * there).sum(dim=1)
        unseen_residuals = (theirs.double() - there @ solution) / (1 - leverage)  # each left out of its own fit
        found[f"margin given {which}"] = compare_membership(
            (ours.double() - basis(f, labels[0]) @ solution).float(), unseen_residuals.float()
        )
    return found


def neighbours_agree(case: Case, left: Samples, part: Samples) -> Tensor:
    """The share of the 10 nearest retained samples, in the original's features, that are of the class."""
    ours, theirs = (nn.functional.normalize(case.original.features(p).float(), dim=1) for p in (part, left))
    near = (ours @ theirs.T).topk(10, dim=1).indices
    return (left.targets[near] == part.targets[:, None]).float().mean(dim=1)


def poison(
    case: Case, collapsed: Trained, left: Samples, twins: Samples, rest: Samples, scores: Any
) -> tuple[Record, Record]:
    """The collapsed model healed for equal steps on other data."""
    typical = Typicality.of(twins, spares=rest, before=case.original, retain=left)
    count = 3 * len(twins)
    instead = typical_spares(rest, count, before=case.original, retain=left, seed=case.seed)
    added = typical_spares(
        rest, count, before=case.original, beside=twins, weights=typical.weights, retain=left, seed=case.seed
    )
    recipe = replace(case.recipe.lasting(steps=case.tenth), learning_rate=0.2 * case.recipe.learning_rate)

    def on(samples: Samples, weights: Tensor | None = None) -> Record:
        return scores(tune(collapsed, samples, recipe, seed=case.seed, kind="healed", by="experiment", weights=weights))

    healed = {
        "retained": on(left),
        "retained + twins": on(left + twins),
        "twins": on(twins),
        "weighed twins": on(twins, typical.weights),
        "typical spares instead": on(instead),
        "twins + typical spares": on(twins + added),
        "weighed twins + typical spares": on(twins + added, torch.cat([typical.weights, torch.ones(len(added))])),
    }
    healed["guarded"] = healed["weighed twins + typical spares" if typical.atypical else "twins"]
    about = {
        "atypical": typical.atypical,
        "verdict": typical.verdict,
        "concentration": typical.concentration,
        "agreement": typical.agreement.value if typical.agreement else None,
        "usual": typical.agreement.reference if typical.agreement else None,
        "mean_weight": float(typical.weights.mean()),
        "twins": len(twins),
        "added": len(added),
        "instead": len(instead),
        "loss_of_twins": float(case.original.evaluate(twins).losses.mean()),
        "loss_of_spares": float(case.original.evaluate(rest).losses.mean()),
    }
    return healed, about


def spread(values: list[float]) -> Record:
    return {"mean": statistics.fmean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0}


def summarised(runs: list[Record]) -> Record:
    summary: Record = {"signals": {}, "turns": {}, "poison": {}, "atypical": {}}
    for candidate in runs[0]["random"]["signals"]:
        says: Record = {"models": {}}
        pairs: list[tuple[float, float]] = []
        for which in MODELS:
            for request in REQUESTS:
                each = [run[request]["signals"][candidate][which] for run in runs]
                entry = spread([e["excess"] for e in each])
                entry["shown"] = sum(e["low"] > 0 for e in each)
                true = [run[request]["scores"][which]["forgotten"] for run in runs]
                golds = [run[request]["scores"]["gold"]["forgotten"] for run in runs]
                entry["true"] = statistics.fmean(t - g for t, g in zip(true, golds, strict=True))
                says["models"].setdefault(which, {})[request] = entry
                pairs += [(e["excess"], t - g) for e, t, g in zip(each, true, golds, strict=True)]
        says["correlation"] = float(torch.corrcoef(torch.tensor(pairs).T)[0, 1])
        says["error"] = statistics.fmean(abs(a - b) for a, b in pairs)
        summary["signals"][candidate] = says
    for request in REQUESTS:
        of = [run[request] for run in runs]
        rows = {w: {k: spread([o["scores"][w][k] for o in of]) for k in ("test", "forgotten")} for w in of[0]["scores"]}
        for which in REMEDIES:
            rows[which] = {k: spread([o[which][k] for o in of]) for k in ("test", "forgotten", "steps", "turns")}
            rows[which]["reached"] = sum(o[which]["reached"] for o in of)
        summary.setdefault("margins", {})[request] = {
            which: spread([o["margins"][which] for o in of]) for which in of[0]["margins"]
        }
        summary["turns"][request] = rows
        summary["poison"][request] = {
            w: {k: spread([o["poison"][w][k] for o in of]) for k in ("test", "forgotten")} for w in of[0]["poison"]
        }
        keys = (
            "concentration",
            "agreement",
            "usual",
            "mean_weight",
            "twins",
            "added",
            "loss_of_twins",
            "loss_of_spares",
        )
        summary["atypical"][request] = {k: statistics.fmean(o["typicality"][k] for o in of) for k in keys}
        summary["atypical"][request]["called"] = sum(o["typicality"]["atypical"] for o in of)
    return summary


def show(name: str, summary: Record, seeds: int) -> None:
    def table(headings: list[str], rows: list[list[str]]) -> None:
        print("\n| " + " | ".join(headings) + " |\n| --- |" + " ---: |" * (len(headings) - 1))
        for row in rows:
            print("| " + " | ".join(row) + " |")

    print(f"\n{name}, {seeds} seeds\n\nExcess over expectation, and in how many seeds its interval is above 0:")
    rows = []
    for candidate, says in summary["signals"].items():
        cells = [f"{entry['mean']:+.2f} ({entry['shown']})" for w in MODELS for entry in says["models"][w].values()]
        rows.append([candidate, *cells, f"{says['correlation']:.2f}", f"{says['error']:.2f}"])
    any_says = next(iter(summary["signals"].values()))["models"]
    rows.append(["true", *(f"{e['true']:+.2f}" for w in MODELS for e in any_says[w].values()), "", ""])
    table(["signal", *(f"{w}: {r}" for w in MODELS for r in REQUESTS), "r", "mean error"], rows)
    print("\nTest / forgotten, %:")
    names = ("original", "gold", "collapsed", "healed", *REMEDIES)
    rows = [[w, *(both(summary["turns"][r][w]) for r in REQUESTS)] for w in names]
    for which in REMEDIES:
        taken = [summary["turns"][r][which] for r in REQUESTS]
        steps = (f"{100 * t['steps']['mean']:.0f} ({t['reached']} reached)" for t in taken)
        rows.append([f"steps of {which}, % of training", *steps])
    table(["model", *REQUESTS], rows)
    print("\nMargins on the forgotten, mean distance from gold's:")
    apart = [summary["margins"][r] for r in REQUESTS]
    rows = [[w, *(f"{a[w]['mean']:.2f} ± {a[w]['sd']:.2f}" for a in apart)] for w in apart[0]]
    table(["model", *REQUESTS], rows)
    print("\nCollapsed, then healed for 10 % of the steps on … (test / forgotten, %):")
    rows = [[w, *(both(summary["poison"][r][w]) for r in REQUESTS)] for w in summary["poison"]["random"]]
    rows.append(["called atypical", *(f"{summary['atypical'][r]['called']}" for r in REQUESTS)])
    table(["healed on", *REQUESTS], rows)


def both(entry: Record) -> str:
    return " / ".join(f"{100 * entry[k]['mean']:.1f} ± {100 * entry[k]['sd']:.1f}" for k in ("test", "forgotten"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", nargs="+", default=["digits"], choices=["digits", "mnist", "cifar10"])
    parser.add_argument("--samples", type=int, default=5000, help="training samples and spares, drawn anew each seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.dataset:
        command = f"python experiments/still_forgotten.py --dataset {name} --samples {args.samples}"
        place = args.out / f"still-forgotten-{name}.json"
        record: Record = json.loads(place.read_text()) if place.exists() else {}
        if record.get("command") != command:  # the same command goes on where it was cut off
            kept = {k: provenance()[k] for k in ("commit", "code", "versions", "processor", "accelerator")}
            record = {"command": command, **kept, "threads": 1, "settings": repr(REMEDIES), "runs": []}
        for seed in range(len(record["runs"]), args.seeds):
            started = time.perf_counter(), time.process_time()
            case = prepare(name, args.samples, seed)
            record["sizes"] = {"retained": len(case.retain), "spares": len(case.spares), "test": len(case.test)}
            record["runs"].append({r: measure(case, name, ids) for r, ids in requests(case).items()})
            record["summary"] = summarised(record["runs"])
            write_atomically(place, (json.dumps(record, indent=1) + "\n").encode())
            seconds = time.perf_counter() - started[0], time.process_time() - started[1]
            score = case.original.score(case.test)
            print(f"{name} seed {seed}: test {score:.4f}, {seconds[0]:.0f} s, {seconds[1]:.0f} s of CPU", flush=True)
        show(name, record["summary"], len(record["runs"]))


if __name__ == "__main__":
    main()
