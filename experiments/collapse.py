"""From collapse: what brings a destroyed model back for a twentieth and a tenth of its training's steps?

    python experiments/collapse.py [--case digits mnist mnist-plain cifar10] [--samples 4000] [--seeds 3]
        [--escalate [short]]

For each seed, a model is trained on a part of the data, a tenth of it held back; the 5 % of it that it is least sure
of (`OutputAware`: gold does badly on them, so memory shows) are unlearned in ways that collapse the model: diagonal
Fisher noise far beyond what it can bear, and gradient ascent that nothing holds. From there it is healed in different
ways, on retained samples and twins, with equal gradient steps. `mnist-plain` is the same net without norms; on CIFAR-10
a small ColourNet is trained, so that it takes minutes.

With ``--escalate``, `Escalation` heals instead, as it comes, and what its rungs took is kept; ``--escalate short``
starts over for 40 % of the steps where the rungs before are not enough.

Spreads are over seeds, each with its own part of the data, model and request.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unscathed import (
    ClassificationTask,
    Fisher,
    GradientAscent,
    Healer,
    Recipe,
    Retrain,
    Samples,
    SpareSet,
    Trained,
    Unlearner,
    fit,
)
from unscathed.adversaries import OutputAware, OutputView
from unscathed.healing import Escalation, Heal, Repair, StartOver, diagnose, graft_layers, recalibrate, reset_layers
from unscathed.lab.models import ColourNet, SmallNet
from unscathed.lab.provenance import provenance
from unscathed.lab.setups import Setup, setup
from unscathed.training.checkpoint import write_atomically

SHARES = (0.05, 0.1)
ASKED = 0.05
TEST = 2000
THRESHOLD = 1.0
ESCALATIONS = {
    "": Escalation(),
    "short": Escalation(rungs=(Heal(share=0.05), Repair(share=0.1), StartOver(share=0.4))),
}
Measures = dict[str, float]


def without_norms() -> nn.Module:
    """SmallNet, its norms taken out."""
    net = SmallNet()
    for block in net.body:
        if isinstance(block, nn.Sequential):
            block[1] = nn.Identity()
    return net


def setting(case: str, data: str | None) -> tuple[Setup, Recipe]:
    name = case.removesuffix("-plain")
    made = setup(name, Path(data) / name if data and name != "digits" else None)
    if case == "mnist-plain":
        made = replace(made, task=ClassificationTask(without_norms, 10))
    if case == "cifar10":
        net = partial(ColourNet, widths=(8, 16, 32, 64))
        made = replace(made, task=ClassificationTask(net, 10, normalise=made.task.normalise))
        made = replace(made, recipe=replace(made.recipe, optimizer="adamw", learning_rate=4e-3, weight_decay=1e-2))
    # The data sets' recipes are for all of their samples: of a part, large batches would make but a few steps.
    return made, replace(made.recipe, batch_size=64)


def collapses(case: str) -> dict[str, Unlearner]:
    """What destroys the model; a pass over few samples is a step or two, so there are more passes."""
    ascent = GradientAscent(kl_budget=None, epochs=5 if case == "mnist" else 20)
    return {"Fisher noise": Fisher(kl_budget=8.0), "gradient ascent": ascent}


class Collapsed:
    """A model that was destroyed, and what it can be healed with."""

    def __init__(self, original: Trained, unlearned: Trained, retain: Samples, twins: Samples, gold_steps: int) -> None:
        self.original = original
        self.unlearned = unlearned
        self.retain = retain
        self.twins = twins
        self.gold_steps = gold_steps
        self.damage = diagnose(unlearned, original, retain, threshold=THRESHOLD)

    def heal(self, model: Trained, share: float, rate: float) -> Trained:
        """What is left of the steps, after what repairs took."""
        took = sum(event.steps for event in model.history[len(self.unlearned.history) :])
        steps = max(1, round(share * self.gold_steps) - took)
        return Healer(steps=steps, learning_rate=rate).heal(model, retain=self.retain, twins=self.twins)

    def recalibrated(self) -> Trained:
        return recalibrate(self.unlearned, retain=self.retain, twins=self.twins)

    def reset(self, threshold: float) -> Trained:
        return reset_layers(self.unlearned, self.names(threshold))

    def grafted(self) -> Trained:
        return graft_layers(self.unlearned, self.original, self.names(THRESHOLD), allow_memory=True)

    def names(self, threshold: float) -> list[str]:
        """Destroyed layers; the worst one where none is beyond the threshold."""
        destroyed = [layer.name for layer in self.damage.layers if layer.destroyed(threshold)]
        return destroyed or [max(self.damage.layers, key=lambda layer: layer.own or 0).name]

    def all_reset(self) -> Trained:
        return reset_layers(self.unlearned, [layer.name for layer in self.damage.layers])

    def regrown(self, fresh: int) -> Trained:
        """The record's layers, but for so many of the last ones with weights (and what norms them), which are fresh."""
        names = [layer.name for layer in self.damage.layers]
        weighty = [layer.name for layer in self.damage.layers if layer.kind in ("Linear", "Conv2d")]
        cut = names.index(weighty[-fresh])
        grafted = graft_layers(self.unlearned, self.original, names[:cut], allow_memory=True)
        return reset_layers(grafted, names[cut:])


METHODS: dict[str, Callable[[Collapsed, float], Trained]] = {
    "heal": lambda c, share: c.heal(c.unlearned, share, 0.2),
    "heal, full rate": lambda c, share: c.heal(c.unlearned, share, 1.0),
    "recalibrate, heal": lambda c, share: c.heal(c.recalibrated(), share, 0.2),
    "recalibrate, heal, full rate": lambda c, share: c.heal(c.recalibrated(), share, 1.0),
    "reset, heal, full rate": lambda c, share: c.heal(c.reset(THRESHOLD), share, 1.0),
    "reset more, heal, full rate": lambda c, share: c.heal(c.reset(THRESHOLD / 2), share, 1.0),
    "reset all, heal, full rate": lambda c, share: c.heal(c.all_reset(), share, 1.0),
    "graft, heal": lambda c, share: c.heal(c.grafted(), share, 0.2),
    "graft, heal, full rate": lambda c, share: c.heal(c.grafted(), share, 1.0),
    "graft all, reset last, heal, full rate": lambda c, share: c.heal(c.regrown(1), share, 1.0),
    "graft all, reset last two, heal, full rate": lambda c, share: c.heal(c.regrown(2), share, 1.0),
}
AS_THEY_ARE: dict[str, Callable[[Collapsed], Trained]] = {
    "unlearned": lambda c: c.unlearned,
    "recalibrate": lambda c: c.recalibrated(),
    "graft": lambda c: c.grafted(),
}


def measure(
    case: str, samples: int, tests: int, seed: int, data: str | None, *, escalate: str | None, known: dict[str, Any]
) -> dict[str, Any]:
    """One seed's run; what is known of it already is not measured again."""
    made, recipe = setting(case, data)
    test = made.test.at(torch.arange(min(tests, len(made.test))))
    part = made.samples
    if samples < len(part):
        _, part = part.split(reserve=samples, seed=seed)
    everything, spares = part.split(reserve=0.1, seed=seed)
    original = fit(made.task, everything, recipe, seed=seed)
    forget = OutputAware(ASKED).choose(OutputView(original, everything))
    forgotten, retain = everything.only(forget), everything.without(forget)
    gold = Retrain().unlearn(original, everything, forget)
    twins = SpareSet(spares, shortfall="partial").match(forgotten, original)
    left = spares.without(twins.fresh)

    def seen(model: Trained, since: Trained) -> Measures:
        steps = sum(event.steps for event in model.history[len(since.history) :])
        return {"test": model.score(test), "forgotten": model.score(forgotten), "steps": steps}

    run: dict[str, Any] = {
        "seed": seed,
        "sizes": {"retained": len(retain), "forgotten": len(forgotten), "twins": len(twins), "held_out": len(left)},
        "original": {**seen(original, original), "steps": original.history[-1].steps},
        "gold": seen(gold, original),
        "collapses": {},
    }
    for name, unlearner in collapses(case).items():
        unlearned = unlearner.unlearn(original, everything, forget)
        collapsed = Collapsed(original, unlearned, retain, twins.samples, gold.history[-1].steps)
        found: dict[str, Any] = {"unlearner": repr(unlearner), "damage": described(collapsed)}
        methods = dict(known.get("collapses", {}).get(name, {}).get("methods", {}))
        if escalate:
            healed = ESCALATIONS[escalate].heal(
                unlearned, retain=retain, twins=twins.samples, before=original, held_out=left
            )
            found |= {"by": healed.history[-1].by, "details": healed.history[-1].details}
            methods |= {"unlearned": seen(unlearned, unlearned), "escalation": seen(healed, unlearned)}
        else:
            ways = {label: partial(make, collapsed) for label, make in AS_THEY_ARE.items()}
            ways |= {
                f"{share:.0%}: {label}": partial(make, collapsed, share)
                for share in SHARES
                for label, make in METHODS.items()
            }
            for label, make in ways.items():
                mends_nothing = "recalibrate" in label and collapsed.recalibrated() is unlearned
                if label not in methods and not mends_nothing:
                    methods[label] = seen(make(), unlearned)
        run["collapses"][name] = {**found, "methods": methods}
    return run


def complete(run: dict[str, Any], *, escalate: str | None) -> bool:
    """Whether every way was measured (recalibration aside, which needs norms)."""
    wanted = [f"{share:.0%}: {label}" for share in SHARES for label in METHODS if "recalibrate" not in label]
    return escalate is not None or all(set(wanted) <= set(found["methods"]) for found in run["collapses"].values())


def described(collapsed: Collapsed) -> dict[str, Any]:
    damage = collapsed.damage
    own = {layer.name: layer.own for layer in damage.layers}
    drift = {layer.name: layer.drift for layer in damage.layers if layer.drift is not None}
    names = {"destroyed": damage.destroyed, "destroyed_more": collapsed.names(THRESHOLD / 2)}
    return {"commonest": damage.commonest, "divergence": damage.divergence, "own": own, "drift": drift, **names}


def summarised(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means and standard deviations over seeds, and those of the differences from gold, seed by seed."""
    summary: dict[str, Any] = {
        which: {key: spread([run[which][key] for run in runs]) for key in ("test", "forgotten", "steps")}
        for which in ("original", "gold")
    }
    for name in runs[0]["collapses"]:
        summary[name] = {}
        everywhere = set.intersection(*(set(run["collapses"][name]["methods"]) for run in runs))
        for method in [m for m in runs[0]["collapses"][name]["methods"] if m in everywhere]:
            each = [run["collapses"][name]["methods"][method] for run in runs]
            entry = {key: spread([one[key] for one in each]) for key in ("test", "forgotten", "steps")}
            for key in ("test", "forgotten"):
                entry[f"{key}_less_gold"] = spread([o[key] - r["gold"][key] for o, r in zip(each, runs, strict=True)])
            summary[name][method] = entry
    return summary


def spread(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.fmean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0}


def show(case: str, record: dict[str, Any]) -> None:
    summary, sizes = record["summary"], record["runs"][0]["sizes"]
    print(f"\n{case}: {sizes['retained']} retained, {sizes['forgotten']} forgotten, {sizes['twins']} twins,", end=" ")
    print(f"{len(record['runs'])} seeds: mean ± standard deviation, %\n")
    for which in ("original", "gold"):
        entry = summary[which]
        print(
            f"{which}: test {pm(entry['test'])}, forgotten {pm(entry['forgotten'])}, {entry['steps']['mean']:.0f} steps"
        )
    for name in record["runs"][0]["collapses"]:
        print(f"\n{name}:\n")
        print("| | steps | test | less gold | forgotten | less gold |\n| --- |" + " ---: |" * 5)
        for method, entry in summary[name].items():
            cells = [method, f"{entry['steps']['mean']:.0f}"]
            for key in ("test", "forgotten"):
                cells += [pm(entry[key]), pm(entry[f"{key}_less_gold"], "+")]
            print("| " + " | ".join(cells) + " |")


def pm(entry: dict[str, float], sign: str = "") -> str:
    return f"{100 * entry['mean']:{sign}.1f} ± {100 * entry['sd']:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", default=["mnist"], choices=["digits", "mnist", "mnist-plain", "cifar10"])
    parser.add_argument("--samples", type=int, default=4000, help="training samples and spares, drawn anew each seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", type=int, default=TEST, help="test images; on CIFAR-10 they take most of the time")
    parser.add_argument(
        "--escalate", nargs="?", const="", choices=list(ESCALATIONS), help="heal by Escalation, in place of single ways"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for case in args.case:
        command = f"python experiments/collapse.py --case {case} --samples {args.samples} --seeds {args.seeds}"
        command += f" --test {args.test}" if args.test != TEST else ""
        escalation = None if args.escalate is None else f"escalate {args.escalate}".strip()
        command += f" --{escalation}" if escalation else ""
        suffix = "-" + "-".join(["escalation", *escalation.split()[1:]]) if escalation else ""
        place = args.out / f"collapse-{case}{suffix}.json"
        record: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {}
        if record.get("command") != command:  # the same command goes on where it was cut off
            kept = {k: provenance()[k] for k in ("commit", "code", "versions", "processor", "accelerator")}
            record = {"command": command, **kept, "threads": 1, "threshold": THRESHOLD, "runs": []}
        for seed in range(args.seeds):
            known = record["runs"][seed] if seed < len(record["runs"]) else {}
            if known and complete(known, escalate=args.escalate):
                continue
            started = time.perf_counter()
            data = os.environ.get("UNSCATHED_DATA")
            run = measure(case, args.samples, args.test, seed, data, escalate=args.escalate, known=known)
            record["runs"][seed : seed + 1] = [run]
            record["summary"] = summarised(record["runs"])
            write_atomically(place, (json.dumps(record, indent=1) + "\n").encode())
            print(
                f"{case} seed {seed}: gold {run['gold']['test']:.4f}, {time.perf_counter() - started:.0f} s", flush=True
            )
        show(case, record)


if __name__ == "__main__":
    main()
