"""Certified removal: what the perturbation costs in accuracy, how many requests its budget holds, and at what price.

    python benchmarks/certified_removal.py [digits | animals3] [--requests 100] [--seeds 5] [--json FILE]

A linear model of the digits' standardised pixels, or of an ImageNet encoder's 1,280 features of cats, dogs and pandas
(the folder `animals3` in the one named by UNSCATHED_DATA; encoding takes minutes on two cores). ε = 1, δ = 1e-4.
Requests name one random sample each. How many of them one budget holds is counted by the paper's worst case and by its
bound from the data (both for softmax regression, summed), and exactly under the paper's step, which starts from what
was removed alone and leaves earlier residuals as they are. `CertifiedRemoval` repairs these, so that a request is
refused for itself alone: of its requests those are counted that a step could not answer.
"""

import argparse
import json
import math
import os
import statistics
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

import unscathed as us
from unscathed.lab.datasets import Dataset
from unscathed.lab.datasets.encoders import efficientnet_lite0
from unscathed.lab.provenance import provenance
from unscathed.training.seeds import generator
from unscathed.unlearners.last_layer import LastLayer

LIPSCHITZ = math.sqrt(2) / (3 * math.sqrt(3))
"""Of the second derivative of the softmax loss in the logits."""
STEEPEST = math.sqrt(2)
"""The largest gradient of the softmax loss in the logits."""
RECIPE = us.Recipe(batch_size=64, device="cpu")


def pixels(images: Tensor) -> Tensor:
    return images.float()


def accuracy(data: Dataset, task: us.Task, regularisation: float, sigma: float, seeds: int) -> list[float]:
    method = us.CertifiedRemoval(regularisation=regularisation, perturbation=sigma)
    return [100 * method.fit(task, data.samples, RECIPE, seed=seed).score(data.test) for seed in range(seeds)]


def requests(data: Dataset, task: us.Task, method: us.CertifiedRemoval, count: int) -> dict[str, object]:
    samples = data.samples
    trained = method.fit(task, samples, RECIPE)
    training = trained.history[-1].seconds
    order = torch.randperm(len(samples), generator=generator(0, "requests")).tolist()
    state = trained.checkpoints["certificate"]
    theirs, owed = state["weights"], torch.zeros_like(state["weights"])
    spent: dict[str, list[float]] = {"worst case": [], "from the data": [], "paper's step": []}
    ours = {steps: (replace(method, newton_steps=steps), trained) for steps in (1, 2)}
    seconds: dict[int, list[float]] = {steps: [] for steps in ours}
    refused = dict.fromkeys(ours, 0)
    for sample in (data.samples.ids[p] for p in order[:count]):
        rest = samples.without([sample])
        layer = LastLayer(trained, rest, method.regularisation)
        layer.perturbation = state["perturbation"]
        step = layer.newton_step(theirs, layer.gradient(theirs) - owed)
        theirs = theirs + step
        owed = layer.gradient(theirs)
        features = torch.cat([rows.features for rows in layer.rows])
        moved, largest = features @ step.T, float(features.norm(dim=1).max())
        removed = 2 * STEEPEST * largest + float(state["perturbation"].norm()) / len(samples)
        spent["worst case"].append(LIPSCHITZ * largest**3 * removed**2 / (method.regularisation**2 * layer.count))
        bound = LIPSCHITZ / 2 * float(torch.linalg.matrix_norm(features, 2) * moved.norm(dim=1).max() * moved.norm())
        spent["from the data"].append(bound)
        spent["paper's step"].append(float(owed.norm()))

        for steps, (own, model) in ours.items():
            after = own.unlearn(model, samples, [sample])
            ours[steps] = own, after
            refused[steps] += own.account(after).last.retrained is not None
            seconds[steps].append(after.history[-1].seconds)
        samples = rest
    return {
        "budget": method.budget,
        "requests": count,
        "held": {name: fits(values, method.budget, name) for name, values in spent.items()},
        "mean bound or residual": {name: statistics.mean(values) for name, values in spent.items()},
        "refused": refused,
        "seconds to train": training,
        "seconds to remove": {steps: statistics.median(values) for steps, values in seconds.items()},
    }


def fits(values: list[float], budget: float, name: str) -> str:
    """How many requests a budget holds: bounds add up, exact norms are what they are."""
    running = torch.tensor(values) if name == "paper's step" else torch.tensor(values).cumsum(0)
    over = (running > budget).nonzero().flatten()
    return str(int(over[0])) if len(over) else f"all {len(values)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", choices=["digits", "animals3"], default="digits")
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.data == "digits":
        data = us.datasets.features(us.datasets.digits(), pixels)
    else:
        folder = Path(os.environ["UNSCATHED_DATA"]) / "animals3"
        data = us.datasets.features(us.datasets.image_folder(str(folder), size=128), efficientnet_lite0)
    task = us.ClassificationTask(lambda: us.models.Head(**data.facts), data.facts["classes"])
    rows = []
    for regularisation in (1e-2, 1e-1):
        method = us.CertifiedRemoval(regularisation=regularisation)
        plain = accuracy(data, task, regularisation, 1e-3, 1)[0]
        noisy = accuracy(data, task, regularisation, method.perturbation, chosen.seeds)
        row = {
            "data": data.name,
            "samples": len(data.samples),
            "test": len(data.test),
            "regularisation": regularisation,
            "accuracy": plain,
            "perturbed": noisy,
            **requests(data, task, method, chosen.requests),
        }
        rows.append(row)
        print(
            f"{data.name}, λ={regularisation:g}: {plain:.2f} % → {statistics.mean(noisy):.2f} % "
            f"({min(noisy):.2f}…{max(noisy):.2f}, {len(noisy)} draws of b); held {row['held']}; "
            f"refused of {row['requests']}, by Newton steps a request: {row['refused']}; "
            f"{row['seconds to train']:.2f} s to train, {row['seconds to remove']} s to remove",
            flush=True,
        )
    if chosen.json:
        chosen.json.write_text(json.dumps({"rows": rows, **provenance()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
