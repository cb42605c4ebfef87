"""What do requests for what was never learned do to a model, and what wakes a backdoor that sleeps?

    python experiments/outsiders.py --dataset digits --json experiments/results/outsiders-digits.json

Outsiders: a service that trusts whoever asks unlearns what is sent to it (naively: the crafted samples count as its
own). Requests are as large as one of random real members, the first control; the second are the attacker's own real
samples, unchanged. Accuracy on test samples after each unlearner, with its guard (`kl_budget`) and without; beside it,
how many of the request a `Door` refuses. Models are trained by the data set's recipe and by plain SGD, since gradient
ascent takes its steps by the recipe's optimiser. Queries ask for the mean margin of the attacker's validation samples
after reckless gradient ascent.

Camouflage: how often the patch turns test samples of other classes, with poison and camouflage in the training data,
with poison alone, after the camouflage is deleted (exactly, and by unlearners), and in two controls: as many random
honest samples are deleted instead, and the camouflage comes from someone who contributed no poison.

Larger data sets are cut to 6,000 samples; their files are looked for in the folder named by UNSCATHED_DATA. What a file
of an earlier run with the same settings has is not done again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

import unscathed as us
from planning_setups import Setting, begun, environment, write
from unscathed.adversaries import CamouflagedBackdoor, Outsider, PerturbedCopies, QueryingOutsider, ServiceView
from unscathed.lab.setups import setup
from unscathed.screening import Door

RADII = (0.6, 1.0, 3.0)
SGD = 0.1
UNLEARNERS: dict[str, us.Unlearner] = {
    "gradient ascent": us.GradientAscent(),
    "gradient ascent, reckless": us.GradientAscent(kl_budget=None),
    "gradient ascent, 2 passes, reckless": us.GradientAscent(epochs=2, kl_budget=None),
    "NegGrad+": us.NegGradPlus(),
    "NegGrad+, reckless": us.NegGradPlus(kl_budget=None),
    "influence": us.Influence(curvature="last-layer"),
    "influence, reckless": us.Influence(curvature="last-layer", kl_budget=None),
    "Fisher": us.Fisher(),
}
QUERIED = "gradient ascent, 2 passes, reckless"
CAMOUFLAGE = ((0.02, 1.0), (0.02, 4.0))
"""The share of poison, and the camouflage for each of it."""
Row = dict[str, Any]


def setting_of(name: str) -> tuple[Setting, us.Samples]:
    """What is learned and tested on, and the attacker's own samples, of which none is learned."""
    root = os.environ.get("UNSCATHED_DATA")
    made = setup(name, Path(root) / name if root and name != "digits" else None)
    samples, test = made.samples, made.test
    if len(samples) > 7000:
        samples = samples.split(reserve=7000, seed=0)[1]
        test = test.split(reserve=2000, seed=0)[1]
        learned, rest = samples.split(reserve=1000, seed=0)
    else:
        learned, rest = samples.split(reserve=0.2, seed=0)
    own, validation = rest.split(reserve=0.5, seed=0)
    return Setting(
        name=name, samples=learned, test=test, validation=validation, task=made.task, recipe=made.recipe
    ), own


class Attacked:
    """A model, whoever attacks it, and what comes of it.

    Args:
        setting: the data.
        own: the attacker's samples.
        recipe: how the model is trained.
        count: samples in a request.
        seed: of all.
    """

    def __init__(self, setting: Setting, own: us.Samples, recipe: us.Recipe, count: int, seed: int) -> None:
        self.setting, self.own, self.recipe, self.count, self.seed = setting, own, recipe, count, seed

    @cached_property
    def trained(self) -> us.Trained:
        return us.fit(self.setting.task, self.setting.samples, self.recipe, seed=self.seed)

    def requests(self) -> Iterator[tuple[str, Callable[[], us.Samples], tuple[str, ...]]]:
        """Each request's name, how it is made, and which unlearners must honour it."""
        everyone, members = tuple(UNLEARNERS), us.adversaries.Random(self.count, seed=self.seed)
        yield "members", lambda: self.setting.samples.only(members.choose(us.BlindView(self.setting.samples))), everyone
        yield "own, unchanged", lambda: fresh(self.outsider(1.0).origins(self.view)), everyone
        for radius in RADII:
            yield f"outsider, {radius}", lambda radius=radius: self.outsider(radius).craft(self.view), everyone
            copies = PerturbedCopies(self.count, distance=radius, seed=self.seed)
            yield f"copies, {radius}", lambda copies=copies: copies.craft(self.view), everyone
        for radius in RADII[1:]:
            yield f"queries, {radius}", lambda radius=radius: self.queried(radius), (QUERIED,)

    @cached_property
    def view(self) -> us.ParameterView:
        return us.ParameterView(self.trained, self.own, validation=self.setting.validation)

    def outsider(self, radius: float) -> Outsider:
        return Outsider(self.count, radius=radius, steps=30, learning_rate=0.02, ascents=3, seed=self.seed)

    def queried(self, radius: float) -> us.Samples:
        def margin(request: us.Samples) -> float:
            return float(self.served(UNLEARNERS[QUERIED], request).evaluate(self.setting.validation).margins.mean())

        attack = QueryingOutsider(self.count, radius=radius, steps=5, directions=5, seed=self.seed)
        return attack.craft(ServiceView(self.trained, self.own, unlearned=margin))

    def served(self, unlearner: us.Unlearner, request: us.Samples) -> us.Trained:
        """What a service makes of a request that believes whoever asks."""
        samples, trained = self.setting.samples, self.trained
        if not set(request.ids) <= set(samples.ids):
            trained, samples = replace(trained, ids=trained.ids + request.ids), samples + request
        return unlearner.unlearn(trained, samples, request.ids)

    def row(self, make: Callable[[], us.Samples], asked: tuple[str, ...]) -> Row:
        request = make()
        admission = Door(self.setting.samples).admit(request)
        found: Row = {"original": accuracy(self.trained, self.setting)}
        for name in asked:
            try:
                found[name] = accuracy(self.served(UNLEARNERS[name], request), self.setting)
            except us.DivergedError:
                found[name] = None
        away = [r.distance for r in admission.refused if r.distance is not None]
        reasons = dict(Counter(r.reason for r in admission.refused))
        return {"test": found, "refused": len(admission.refused), "reasons": reasons, "nearest": min(away, default=0.0)}


def fresh(samples: us.Samples) -> us.Samples:
    return us.Samples(samples.inputs, samples.targets, [f"own {i}" for i in samples.ids], classes=samples.classes)


def accuracy(model: us.Trained, setting: Setting) -> float:
    return round(100 * model.score(setting.test), 2)


def camouflaged(setting: Setting, share: float, camouflage: float, seed: int) -> Row:
    """The backdoor's success and accuracy on clean test samples, in percent, by what was done to the model."""
    size = 2 if setting.name == "digits" else 3
    attack = CamouflagedBackdoor(share=share, camouflage=camouflage, size=size, seed=seed)
    given = attack.contribute(setting.samples)
    asked = given.camouflage

    def fitted(samples: us.Samples) -> us.Trained:
        return us.fit(setting.task, samples, setting.recipe, seed=seed)

    asleep = fitted(given.samples)
    honest = given.samples.without((*given.poison, *asked))
    others = us.adversaries.Random(len(asked), seed=seed).choose(us.BlindView(honest))
    innocent = given.samples.without(given.poison) + fresh(setting.samples.only(given.poison))
    unpoisoned = fitted(innocent)
    models = {
        "poison and camouflage": asleep,
        "poison alone": fitted(attack.poison(setting.samples)[0]),
        "camouflage deleted exactly": us.Retrain().unlearn(asleep, given.samples, asked),
        "camouflage deleted by Fisher": us.Fisher().unlearn(asleep, given.samples, asked),
        "camouflage deleted by gradient ascent": us.GradientAscent().unlearn(asleep, given.samples, asked),
        "camouflage deleted by influence": us.Influence(curvature="last-layer").unlearn(asleep, given.samples, asked),
        "as many honest samples deleted exactly": us.Retrain().unlearn(asleep, given.samples, others),
        "no poison, camouflage": unpoisoned,
        "no poison, camouflage deleted exactly": us.Retrain().unlearn(unpoisoned, innocent, asked),
        "no poison, camouflage deleted by Fisher": us.Fisher().unlearn(unpoisoned, innocent, asked),
        "honest": fitted(setting.samples),
    }
    return {
        "poison": len(given.poison),
        "asked": len(asked),
        "backdoor": {name: round(100 * attack.success(m, setting.test), 2) for name, m in models.items()},
        "test": {name: accuracy(m, setting) for name, m in models.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", choices=("digits", "mnist"), default="digits")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--count", type=int, help="samples in a request; by default 20 of digits, 60 of MNIST")
    parser.add_argument("--parts", nargs="+", choices=("outsiders", "camouflage"), default=["outsiders", "camouflage"])
    parser.add_argument("--optimisers", nargs="+", help="only models trained by these; by default all")
    parser.add_argument("--requests", nargs="+", help="only requests of these names; by default all")
    parser.add_argument("--until", type=float, default=float("inf"), help="seconds after which nothing new is begun")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    setting, own = setting_of(arguments.dataset)
    count = arguments.count or (20 if arguments.dataset == "digits" else 60)
    record = begun(arguments.json, {**environment(setting), "own": len(own), "request": count}, "outsiders")
    record.setdefault("camouflage", [])
    record["unlearners"] = {name: repr(u) for name, u in UNLEARNERS.items()}
    recipes = {
        setting.recipe.optimizer: setting.recipe,
        "sgd": replace(setting.recipe, optimizer="sgd", learning_rate=SGD),
    }
    started = time.perf_counter()
    work: list[tuple[str, Row, Callable[[], Row]]] = []
    for seed in range(arguments.seeds):
        for optimiser, recipe in recipes.items() if "outsiders" in arguments.parts else ():
            attacked = Attacked(setting, own, recipe, count, seed)
            for name, make, asked in attacked.requests():
                if optimiser not in (arguments.optimisers or recipes) or name not in (arguments.requests or [name]):
                    continue
                place = {"optimiser": optimiser, "seed": seed, "request": name}
                work.append(("outsiders", place, lambda a=attacked, m=make, of=asked: a.row(m, of)))
        for share, camouflage in CAMOUFLAGE if "camouflage" in arguments.parts else ():
            place = {"share": share, "camouflage": camouflage, "seed": seed}
            work.append(
                ("camouflage", place, lambda s=share, c=camouflage, seed=seed: camouflaged(setting, s, c, seed))
            )
    # What tells most comes first, for all seeds: time may run out.
    work.sort(key=lambda w: (w[1].get("request", "").startswith("queries"), w[1].get("optimiser", "") == "adamw"))
    for part, place, do in work:
        if any({k: r[k] for k in place} == place for r in record[part]):
            continue
        if time.perf_counter() - started > arguments.until:
            break
        before = time.perf_counter()
        record[part].append({**place, **do(), "seconds": round(time.perf_counter() - before, 1)})
        write(arguments.json, record)
        print(f"{part} {place}: {record[part][-1]['seconds']} s", flush=True)
    print(tables(record))


def tables(record: Row) -> str:
    """Means over seeds (and the least), in Markdown."""
    lines = []
    by: defaultdict[str, defaultdict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in record["outsiders"]:
        by[row["optimiser"]][row["request"]].append(row)
    for optimiser, requests in by.items():
        names, size = ["original", *UNLEARNERS], record["request"]
        lines += [f"\nTest accuracy, {record['dataset']}, {optimiser}, requests of {size}: mean (least), %\n"]
        lines += ["| request | seeds | refused | " + " | ".join(names) + " |"]
        lines += ["| --- | ---: | ---: |" + " ---: |" * len(names)]
        for request, rows in requests.items():
            shown = [spread([r["test"].get(n) for r in rows]) for n in names]
            refused = statistics.fmean(100 * r["refused"] / size for r in rows)
            lines.append(f"| {request} | {len(rows)} | {refused:.0f} % | " + " | ".join(shown) + " |")
    cases: defaultdict[tuple[float, float], list[Row]] = defaultdict(list)
    for row in record["camouflage"]:
        cases[row["share"], row["camouflage"]].append(row)
    for (share, camouflage), rows in cases.items():
        poison, asked = (statistics.fmean(r[k] for r in rows) for k in ("poison", "asked"))
        lines += [f"\n{share:.0%} of poison ({poison:.0f}), {camouflage:g} of camouflage for each ({asked:.0f})\n"]
        lines += ["| model | backdoor % | test % |", "| --- | ---: | ---: |"]
        for name in rows[0]["test"]:
            both = [" ".join(f"{r[k][name]:.1f}" for r in rows) for k in ("backdoor", "test")]
            means = [f"{statistics.fmean(r[k][name] for r in rows):.1f}" for k in ("backdoor", "test")]
            lines.append(f"| {name} | {means[0]} ({both[0]}) | {means[1]} ({both[1]}) |")
    return "\n".join(lines)


def spread(values: list[float | None]) -> str:
    """The mean and the least; a dash where it was not asked, or diverged."""
    known = [v for v in values if v is not None]
    return f"{statistics.fmean(known):.1f} ({min(known):.1f})" if known else "–"


if __name__ == "__main__":
    main()
