"""What it takes to score all samples by influence, over a plain forward and backward pass through them.

    python benchmarks/influence_scores.py [--samples 4096] [--repeats 5] [--models SmallNet FastNet] [--json FILE]

A score's time is the whole call of an adversary's ``values``: factors, the validation gradient (of a tenth as many
samples) and all samples' derivatives. `ParameterAware` has no factors, and says what the rest takes. All go through the
same samples in float32, in turns; figures are ratios of medians. Before anything is timed, the scores of a few samples
are compared with their gradients, made one by one. Digits always run; others where the folder named by UNSCATHED_DATA
has them.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from curvature import MODELS, loaded, plain
from timing import in_turns, medians, ratio
from unscathed import BadInputError, ClassificationTask, ParameterView, Recipe, Samples, Trained, fit
from unscathed.adversaries import Influential, ParameterAware
from unscathed.curvature import kronecker_factors
from unscathed.lab.provenance import provenance
from unscathed.training.machine import keeping_memory

CHECKED = 8
"""Samples whose scores are compared with gradients made one by one."""
SCORES: dict[str, Any] = {
    "first order": ParameterAware(),
    "kronecker": Influential(),
    "last-layer": Influential(curvature="last-layer"),
}


def prepared(model: str, count: int) -> tuple[Trained, Samples, Samples]:
    """A model that has seen a few batches, its samples, and a tenth as many to validate on."""
    folder, build = MODELS[model]
    dataset = loaded(folder)
    count = min(count, len(dataset.samples) * 10 // 11)
    samples = dataset.samples.at(torch.arange(count))
    validation = dataset.samples.at(torch.arange(count, count + count // 10))
    classes = dataset.facts["classes"]
    task = ClassificationTask(partial(build, classes=classes), classes)
    return fit(task, samples, Recipe(steps=30), seed=0), samples, validation


def one_by_one(view: ParameterView) -> Tensor:
    """The first samples' scores by EK-FAC, from their own gradients."""
    function = view.function()
    attack = Influential()
    factors = kronecker_factors(function, attack._curved(view.samples), seed=attack.seed)
    direction = factors.solve(function.mean_gradient(view.validation), attack.damping)
    few = [function.mean_gradient(view.samples.at(torch.tensor([p]))) for p in range(CHECKED)]
    return torch.stack([gradient @ direction for gradient in few]).cpu() / len(view.samples)


def compare(model: str, count: int, repeats: int) -> dict[str, Any]:
    """All scores on one model."""
    trained, samples, validation = prepared(model, count)
    view = ParameterView(trained, samples, validation=validation)
    expected = one_by_one(view)
    found = SCORES["kronecker"].values(view)[:CHECKED]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    function = view.function()
    step = plain(function)

    def a_pass() -> None:
        for batch in function.batches(samples):
            step(batch)

    runs: dict[str, Callable[[], object]] = {"plain": a_pass}
    refused = {}
    for name, attack in SCORES.items():
        try:
            attack.values(view)
        except BadInputError as error:  # this model does not end with a linear layer, say
            refused[name] = "; ".join(error.problems)
        else:
            runs[name] = partial(attack.values, view)
    with keeping_memory():
        seconds = in_turns(runs, repeats)
    return {
        "model": model,
        "samples": len(samples),
        "validation": len(validation),
        "repeats": repeats,
        "parameters": sum(p.numel() for p in trained.model().parameters()),
        "plain_seconds": medians(seconds)["plain"],
        "passes": {name: ratio(seconds[name], seconds["plain"]) for name in runs if name != "plain"},
        "refused": refused,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    models = ("DigitNet", "SmallNet", "FastNet")
    parser.add_argument("--models", nargs="*", default=models, choices=models)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    root = os.environ.get("UNSCATHED_DATA")
    figures = []
    for model in arguments.models:
        folder = MODELS[model][0]
        if folder != "digits" and not (root and (Path(root) / folder).is_dir()):
            print(f"{model} is left out: there is no {folder} in the folder named by UNSCATHED_DATA")
            continue
        figures.append(compare(model, arguments.samples, arguments.repeats))
        passes = ", ".join(f"{name} {r['median']:.2f}" for name, r in figures[-1]["passes"].items())
        print(f"{model:10} plain passes over {figures[-1]['samples']} samples: {passes}", flush=True)
        for name, why in figures[-1]["refused"].items():
            print(f"{'':10} {name}: {why}")
        if arguments.json:
            arguments.json.write_text(json.dumps({"environment": provenance(), "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
