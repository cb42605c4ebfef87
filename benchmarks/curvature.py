"""Exact per-sample Fisher diagonals beside every peer, over a plain forward and backward pass.

    python benchmarks/curvature.py [--samples 512] [--repeats 5] [--json FILE]

All contenders go through the same samples, in float32 and the same memory layout, in turns, each with its own best
batch, and freed memory is kept for all of them (`keeping_memory`); what they give is compared first. Every figure is a
ratio of medians. Peers that are not installed (extra ``bench``) or that fail on a model are named, not left out. Digits
always run; others where the folder named by UNSCATHED_DATA has them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import warnings
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from timing import in_turns, medians, peak_memory, ratio
from unscathed import Batch, ClassificationTask, Recipe, Samples, fit
from unscathed.curvature import ModelFunction
from unscathed.curvature.fisher import by_rules, by_vmap
from unscathed.lab import datasets
from unscathed.lab.datasets import Dataset
from unscathed.lab.models import ColourNet, DigitNet, FastNet, SmallNet, TextTransformer
from unscathed.lab.provenance import provenance
from unscathed.training.machine import keeping_memory

CHUNKS = (64, 256, 1024) if torch.cuda.is_available() else (16, 32, 64, 128, 256)
Squares = Callable[[Batch], Tensor]
"""Sums over a batch of squared per-sample gradients, [p]."""


class FourConvolutions(nn.Sequential):
    """Convolutions and nothing else that has parameters, so that every peer can take part."""

    def __init__(self, classes: int) -> None:
        widths = (3, 32, 64, 64, 128)
        layers: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            if number % 2:
                layers.append(nn.MaxPool2d(2))
        super().__init__(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(128, classes))


MODELS: dict[str, tuple[str, Callable[..., nn.Module]]] = {
    "DigitNet": ("digits", DigitNet),
    "SmallNet": ("mnist", SmallNet),
    "FourConvolutions": ("cifar10", FourConvolutions),
    "ColourNet": ("cifar10", ColourNet),
    "FastNet": ("cifar10", FastNet),
    "TextTransformer": ("text", partial(TextTransformer, dropout=0.0)),
}
"""By name: the data set's folder, and what builds it."""


@cache
def loaded(folder: str) -> Dataset:
    """A data set, read once a process."""
    root = Path(os.environ.get("UNSCATHED_DATA", "")) / folder
    if folder == "text":
        return datasets.ag_news(root / "agnews_test.csv.gz", length=32)
    load: Callable[..., Dataset] = getattr(datasets, folder)
    return load() if folder == "digits" else load(root)


def prepared(model: str, count: int) -> tuple[ModelFunction, Samples]:
    """A model that has seen a few batches (so that norms have statistics), and samples."""
    folder, build = MODELS[model]
    dataset = loaded(folder)
    wanted = {name: value for name, value in dataset.facts.items() if name in ("vocabulary", "length")}
    samples = dataset.samples.only(dataset.samples.ids[:count])
    classes = dataset.facts["classes"]
    task = ClassificationTask(partial(build, classes=classes, **wanted), classes)
    return ModelFunction(fit(task, samples, Recipe(steps=3), seed=0)), samples


# The contenders: each makes, from a model, what gives the squares of a batch.


def plain(function: ModelFunction) -> Squares:
    """What one gradient step costs, less the step."""

    def run(batch: Batch) -> Tensor:
        function.model.zero_grad()
        function.task.losses(function.task.outputs(function.model, batch), batch).sum().backward()
        return torch.zeros(())

    return run


def quiet() -> None:
    """Peers' hooks warn of what they do on purpose; their imports undo filters, so this comes after."""
    warnings.filterwarnings("ignore", message="Full backward hook is firing")


def opacus(function: ModelFunction) -> Squares:
    """Opacus' per-sample gradients, squared and added."""
    from opacus.grad_sample import GradSampleModule

    quiet()
    # It looks at nothing in evaluation mode (no model here has dropout, and those with batch norms it refuses), and in
    # channels-last its convolutions' gradients are wrong (1.6.0), so it runs in the default layout.
    model = GradSampleModule(function.model.to(memory_format=torch.contiguous_format), loss_reduction="sum").train()

    def run(batch: Batch) -> Tensor:
        inputs = batch.inputs.contiguous()
        functional.cross_entropy(model(inputs), batch.targets, reduction="sum").backward()
        squares = torch.cat([p.grad_sample.square_().sum(dim=0).flatten() for p in model.parameters()])
        for parameter in model.parameters():
            parameter.grad = parameter.grad_sample = None
        return squares

    return run


def backpack(function: ModelFunction) -> Squares:
    """BackPACK's sums of squared gradients."""
    from backpack import backpack, extend
    from backpack.extensions import SumGradSquared

    quiet()
    model, loss = extend(function.model), extend(nn.CrossEntropyLoss(reduction="sum"))

    def run(batch: Batch) -> Tensor:
        model.zero_grad()
        with backpack(SumGradSquared()):
            loss(model(batch.inputs), batch.targets).backward()
        return torch.cat([p.sum_grad_squared.flatten() for p in model.parameters()])

    return run


CONTENDERS: dict[str, Callable[[ModelFunction], Any]] = {
    "plain": plain,
    "ours": by_rules,
    "vmap": by_vmap,
    "opacus": opacus,
    "backpack": backpack,
}


def ready(model: str, contender: str, count: int, chunk: int) -> Callable[[], Tensor]:
    """A contender that is ready to go through all samples."""
    function, samples = prepared(model, count)
    squares = CONTENDERS[contender](function)
    return lambda: total(squares, function, samples, chunk)


def total(squares: Squares, function: ModelFunction, samples: Samples, chunk: int) -> Tensor:
    """Through all samples once."""
    parts = [squares(batch) for batch in function.batches(samples, chunk)]
    return torch.stack(parts).sum(dim=0) / len(samples)


def compare(model: str, count: int, repeats: int) -> dict[str, object]:
    """All contenders on one model."""
    runs: dict[str, Callable[[int], Tensor]] = {}
    failed: dict[str, str] = {}
    errors: dict[str, float] = {}
    reference: Tensor | None = None
    for name, make in CONTENDERS.items():
        function, samples = prepared(model, count)
        try:
            squares = make(function)
            found = total(squares, function, samples, 32)
        except Exception as error:  # whatever a peer raises on this model is its result
            failed[name] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160]}"
            continue
        if name == "ours":
            reference = found
        elif reference is not None:
            errors[name] = float((found - reference).norm() / reference.norm())
            if errors[name] > 1e-4:
                failed[name] = f"other squares than the rest give (relative distance {errors[name]:.2g})"
                continue
        runs[name] = lambda chunk, q=squares, f=function, s=samples: total(q, f, s, chunk)
    assert reference is not None
    with keeping_memory():
        trials = in_turns({(n, c): partial(run, c) for n, run in runs.items() for c in CHUNKS}, 2)
        fastest = medians(trials)
        best = {name: min(CHUNKS, key=lambda chunk: fastest[name, chunk]) for name in runs}
        seconds = in_turns({name: partial(run, best[name]) for name, run in runs.items()}, repeats)
    memory = {name: peak_memory(ready, model, name, count, best[name]) for name in runs}
    figures: dict[str, object] = {
        "model": model,
        "samples": count,
        "repeats": repeats,
        "parameters": len(reference),
        "best_batch": best,
        "fisher_vs_plain": ratio(seconds["ours"], seconds["plain"]),
        "plain_samples_per_second": count / medians(seconds)["plain"],
        "peak_memory_mib": memory,
        "relative_distance": errors,
        "failed": failed,
    }
    for name in ("vmap", "opacus", "backpack"):
        if name in runs:
            figures[f"fisher_vs_{name}"] = ratio(seconds[name], seconds["ours"])
    return figures


def installed(*packages: str) -> dict[str, str]:
    """Versions of the peers that are there."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def show(figures: dict[str, Any]) -> str:
    """One model's line."""
    ours = figures["fisher_vs_plain"]["median"]
    peers = [
        f"{figures[f'fisher_vs_{name}']['median']:.2f} × {name}" if f"fisher_vs_{name}" in figures else f"{name} fails"
        for name in ("vmap", "opacus", "backpack")
    ]
    memory = ", ".join(f"{name} {mib:.0f}" for name, mib in figures["peak_memory_mib"].items())
    return f"{figures['model']:17} {ours:.2f} plain passes; as fast as {', '.join(peers)}; peak MiB: {memory}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=MODELS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    root = os.environ.get("UNSCATHED_DATA")
    here = [m for m in arguments.models if MODELS[m][0] == "digits" or (root and (Path(root) / MODELS[m][0]).is_dir())]
    for absent in [m for m in arguments.models if m not in here]:
        print(f"{absent} is left out: there is no {MODELS[absent][0]} in the folder named by UNSCATHED_DATA")
    figures = []
    for model in here:
        figures.append(compare(model, arguments.samples, arguments.repeats))
        print(show(figures[-1]), flush=True)
        for name, why in figures[-1]["failed"].items():  # type: ignore[attr-defined]
            print(f"{'':17} {name}: {why}")
        if arguments.json:
            peers = installed("opacus", "backpack-for-pytorch")
            record = {"environment": provenance(), "peers": peers, "figures": figures}
            arguments.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
