"""What unlearning costs: SISA beside what its analysis predicts, and every unlearner beside gold.

    python benchmarks/unlearning.py [--dataset digits mnist …] [--samples 2000] [--repeats 5] [--json FILE]

SISA's costs are measured on digits. Every unlearner of the package runs on digits and, where the folder named by
UNSCATHED_DATA has them, on as many samples of MNIST and CIFAR-10 as ``--samples`` says. Contenders take turns in one
run, gold among them; figures are ratios of medians of seconds, and means over requests drawn at random. That SISA
unlearns exactly is checked first.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from unscathed import (
    Retrain,
    Samples,
    Sisa,
    Trained,
    Unlearner,
    UnscathedError,
    by_requester,
    expected_cost,
    fit,
    unlearners,
)
from unscathed.adversaries import BlindView, Random
from unscathed.lab.provenance import provenance
from unscathed.lab.setups import Setup, setup
from unscathed.unlearners.layouts import without

SHAPES = ((3, 2), (5, 4))
"""Shards and slices."""
KNOWN = ("digits", "mnist", "cifar10")


@dataclass
class Spent:
    """What one contender took, each time: wall and processor seconds (all threads')."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def on(self, *works: Callable[[], Trained]) -> list[Trained]:
        """Do some work, and note the mean of what each piece took."""
        wall, cpu = time.perf_counter(), time.process_time()
        made = [work() for work in works]
        self.wall.append((time.perf_counter() - wall) / len(works))
        self.cpu.append((time.process_time() - cpu) / len(works))
        return made

    def over(self, other: "Spent") -> dict[str, float]:
        """Ratios of medians. On a machine that does other things as well, the second is the steadier."""
        return {
            "seconds_vs_gold": statistics.median(self.wall) / statistics.median(other.wall),
            "cpu_seconds_vs_gold": statistics.median(self.cpu) / statistics.median(other.cpu),
        }


def steps(made: Trained) -> int:
    return made.history[-1].steps


def check_exact(sisa: Sisa, made: Setup, samples: Samples, trained: Trained) -> None:
    """Unlearning must give what training without the forgotten gives, or its cost means nothing."""
    forget = [samples.ids[0], samples.ids[-1]]
    unlearned = sisa.unlearn(trained, samples, forget)
    scratch = sisa.fit(
        made.task,
        samples.without(forget),
        trained.recipe,
        seed=trained.seed,
        layout=without(trained.shards, set(forget)),
    )
    assert all(torch.equal(unlearned.weights[name], weight) for name, weight in scratch.weights.items())


def cost_vs_theory(made: Setup, samples: Samples, requests: int, draws: int) -> list[dict[str, Any]]:
    """Sample-epochs of real unlearnings, mean over random requests, over the expectation.

    Requests for one sample are not drawn: one of every slice is asked for, which is all that a draw decides. Training
    is one epoch in batches of two: the analysis counts whole epochs, and each of ours leaves out what does not fill a
    batch, which is much of a small slice where batches are large.
    """
    recipe = replace(made.recipe.lasting(epochs=1), batch_size=2)
    figures = []
    for shards, slices in SHAPES:
        sisa = Sisa(shards=shards, slices=slices)
        trained = sisa.fit(made.task, samples, recipe, seed=0)
        check_exact(sisa, made, samples, trained)
        chosen = [Random(requests, seed=draw).choose(BlindView(samples)) for draw in range(draws)]
        if requests == 1:
            chosen = [part[:1] for slices_ in trained.shards for part in slices_]
        costs = [sisa.unlearn(trained, samples, forget).history[-1].details["sample_epochs"] for forget in chosen]
        predicted = expected_cost(len(samples), shards=shards, slices=slices, requests=requests)
        figures.append(
            {
                "shards": shards,
                "slices": slices,
                "requests": requests,
                "draws": len(chosen),
                "sisa_cost_vs_theory": statistics.fmean(costs) / predicted,
                "standard_error": statistics.stdev(costs) / draws**0.5 / predicted if requests > 1 else 0.0,
                "predicted_over_gold": predicted / len(samples),
            }
        )
    return figures


def seconds_vs_gold(made: Setup, samples: Samples, repeats: int) -> list[dict[str, Any]]:
    """One sample forgotten by SISA over gold, in seconds, beside the predicted ratio.

    In each repeat one sample of every slice of a shard is forgotten, each from the original, and the seconds averaged:
    this is a sample drawn at random, without the noise of which slice it is in.
    """
    # In batches of 16 a slice is several, so that steps can be in the proportion of samples.
    recipe = replace(made.recipe, batch_size=16)
    plain = fit(made.task, samples, recipe, seed=0)
    figures = []
    for shards, slices in SHAPES:
        sisa = Sisa(shards=shards, slices=slices)
        trained = sisa.fit(made.task, samples, recipe, seed=0)
        golds, ours, taken = Spent(), Spent(), []
        for repeat in range(repeats):
            forget = [part[repeat] for part in trained.shards[repeat % shards]]
            (gold,) = golds.on(partial(Retrain().unlearn, plain, samples, forget[:1]))
            taken += map(steps, ours.on(*(partial(sisa.unlearn, trained, samples, [one]) for one in forget)))
        predicted = expected_cost(len(samples), shards=shards, slices=slices) / len(samples)
        ratios = ours.over(golds)
        figures.append(
            {
                "shards": shards,
                "slices": slices,
                "repeats": repeats,
                "predicted_vs_gold": predicted,
                **ratios,
                "seconds_over_predicted": ratios["seconds_vs_gold"] / predicted,
                "cpu_seconds_over_predicted": ratios["cpu_seconds_vs_gold"] / predicted,
                "steps_vs_gold": statistics.fmean(taken) / steps(gold),
                "gold_seconds": statistics.median(golds.wall),
            }
        )
    return figures


def layouts(made: Setup, samples: Samples, size: int = 20) -> dict[str, Any]:
    """Sample-epochs of a request for all samples of one requester, over gold's, by layout; mean over leavers.

    Ten requesters leave, one after the other but each from the original. One layout knows only who owns what, one
    also that these are likely to leave.
    """
    shards, slices, epochs = 5, 4, 2
    recipe = replace(made.recipe.lasting(epochs=epochs), batch_size=8)
    requesters = {i: place // size for place, i in enumerate(shuffled(samples.ids))}
    held: dict[int, list[str]] = {}
    for i, who in requesters.items():
        held.setdefault(who, []).append(i)
    whole = [who for who, ids in held.items() if len(ids) == size]
    leaving = whole[:: max(1, len(whole) // 10)][:10]
    sisa = Sisa(shards=shards, slices=slices)
    places = {
        "at_random": None,
        "by_requester": by_requester(samples, requesters, shards=shards, slices=slices),
        "by_requester_and_likelihood": by_requester(
            samples, requesters, shards=shards, slices=slices, likelihood=dict.fromkeys(leaving, 1.0)
        ),
    }
    figures: dict[str, Any] = {
        "shards": shards, "slices": slices, "requesters": len(held), "samples_each": size, "leaving": len(leaving)
    }  # fmt: skip
    for name, layout in places.items():
        trained = sisa.fit(made.task, samples, recipe, seed=0, layout=layout)
        costs = [sisa.unlearn(trained, samples, held[who]).history[-1].details["sample_epochs"] for who in leaving]
        figures[name] = statistics.fmean(costs) / (epochs * len(samples))
    return figures


def shuffled(ids: tuple[str, ...]) -> list[str]:
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))
    return [ids[place] for place in order.tolist()]


def every_unlearner(made: Setup, samples: Samples, repeats: int) -> dict[str, dict[str, Any]]:
    """Each unlearner at its default, 5 % random removal: its seconds and gradient steps over gold's in the same run."""
    forget = Random(0.05, seed=0).choose(BlindView(samples))
    plain = fit(made.task, samples, made.recipe, seed=0)
    found: dict[str, dict[str, Any]] = {}
    ready: dict[str, Callable[[], Trained]] = {}
    for name in unlearners.__all__:
        kind = getattr(unlearners, name)
        if kind is Unlearner or not (isinstance(kind, type) and issubclass(kind, Unlearner)):
            continue
        try:
            method = kind()
            # Some train their models in a way of their own.
            own = method.fit(made.task, samples, made.recipe, seed=0) if hasattr(method, "fit") else plain
            # Once unmeasured: whatever is loaded on first use is loaded.
            method.unlearn(own, samples, forget)
        except (UnscathedError, TypeError) as error:
            found[name] = {"needs": "; ".join(getattr(error, "problems", [str(error)]))}
            continue
        found[name] = {"settings": repr(method)}
        ready[name] = partial(method.unlearn, own, samples, forget)
    golds, spent = Spent(), {name: Spent() for name in ready}
    for _ in range(repeats):
        (gold,) = golds.on(partial(Retrain().unlearn, plain, samples, forget))
        for name, work in ready.items():
            (unlearned,) = spent[name].on(work)
            found[name]["steps_vs_gold"] = steps(unlearned) / steps(gold)
            found[name]["test_accuracy"] = unlearned.score(made.test)
    for name, own in spent.items():
        found[name].update(own.over(golds))
    return found


def shown_costs(figures: dict[str, Any]) -> list[str]:
    """What SISA's requests took, a line each."""
    lines = [
        f"SISA {f['shards']} × {f['slices']}, requests of {f['requests']}: cost {f['sisa_cost_vs_theory']:.3f} "
        f"(± {f['standard_error']:.3f}) of the predicted, which is {f['predicted_over_gold']:.3f} of gold's"
        for f in figures["cost_vs_theory"]
    ]
    lines += [
        f"SISA {f['shards']} × {f['slices']}, one sample: {f['seconds_vs_gold']:.3f} of gold's seconds, "
        f"{f['cpu_seconds_vs_gold']:.3f} of its processor seconds, {f['steps_vs_gold']:.3f} of its steps; predicted "
        f"{f['predicted_vs_gold']:.3f} ({f['seconds_over_predicted'] - 1:+.1%}, "
        f"{f['cpu_seconds_over_predicted'] - 1:+.1%})"
        for f in figures["seconds_vs_gold"]
    ]
    of = figures["layouts"]
    lines.append(
        f"SISA {of['shards']} × {of['slices']}, all {of['samples_each']} samples of one requester, of gold's cost: "
        f"{of['at_random']:.3f} placed at random, {of['by_requester']:.3f} by requester, "
        f"{of['by_requester_and_likelihood']:.3f} with the ten likely leavers last"
    )
    return lines


def shown_unlearners(name: str, found: dict[str, dict[str, Any]]) -> list[str]:
    """What unlearners took on one data set, a line each."""
    return [
        f"{name:8} {unlearner:20} "
        + (
            f"needs: {f['needs']}"
            if "needs" in f
            else f"{f['seconds_vs_gold']:.3f} of gold's seconds, {f['cpu_seconds_vs_gold']:.3f} of its processor "
            f"seconds, {f['steps_vs_gold']:.3f} of its steps; test accuracy {f['test_accuracy']:.1%}"
        )
        for unlearner, f in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", nargs="+", choices=KNOWN, default=KNOWN, help="for the unlearners; by default all")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    repeats = arguments.repeats
    root = Path(os.environ.get("UNSCATHED_DATA", ""))
    digits = setup("digits")
    figures: dict[str, Any] = {"repeats": repeats}
    print("costs of SISA", file=sys.stderr)
    figures["cost_vs_theory"] = [
        *cost_vs_theory(digits, digits.samples, requests=1, draws=0),
        *cost_vs_theory(digits, digits.samples, requests=8, draws=100),
    ]
    figures["layouts"] = layouts(digits, digits.samples)
    print("seconds of SISA", file=sys.stderr)
    figures["seconds_vs_gold"] = seconds_vs_gold(digits, digits.samples, repeats)
    print("\n".join(shown_costs(figures)), flush=True)
    figures["datasets"] = {}
    for name in arguments.dataset:
        if name != "digits" and not (root.name and (root / name).is_dir()):
            continue
        print(f"unlearners on {name}", file=sys.stderr)
        made = digits if name == "digits" else setup(name, root / name)
        samples = made.samples
        if name != "digits":
            samples = samples.only(shuffled(samples.ids)[: arguments.samples])
        found = every_unlearner(made, samples, repeats)
        figures["datasets"][name] = {
            "samples": len(samples),
            "model": type(made.task.build()).__name__,
            "unlearners": found,
        }
        print("\n".join(shown_unlearners(name, found)), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"environment": provenance(), "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
