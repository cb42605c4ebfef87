"""Exact per-sample Fisher diagonals: our layer rules beside torch.func, over a plain forward and backward pass.

    python benchmarks/curvature.py [--samples 512] [--repeats 5] [--json FILE]

All contenders go through the same samples, in float32 and the same memory layout, in turn; correctness is checked
first. Every figure is a ratio of medians. Digits always run; MNIST and CIFAR-10 where the folder named by
UNSCATHED_DATA has them.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from unscathed import Recipe, Samples, fit
from unscathed.curvature import ModelFunction
from unscathed.curvature.fisher import by_rules, by_vmap
from unscathed.lab.provenance import provenance
from unscathed.lab.setups import Setup, setup

CHUNKS = (16, 32, 64, 128)


def plain(function: ModelFunction, samples: Samples, chunk: int) -> None:
    """A forward and backward pass of the mean loss: what one gradient step costs, less the step."""
    for batch in function.batches(samples, chunk):
        function.model.zero_grad()
        function.task.losses(function.task.outputs(function.model, batch), batch).sum().backward()


def fisher(
    make: Callable[[ModelFunction], Callable], function: ModelFunction, samples: Samples, chunk: int
) -> torch.Tensor:
    squares = make(function)
    return sum(squares(batch) for batch in function.batches(samples, chunk)) / len(samples)


def compare(made: Setup, count: int, repeats: int) -> dict[str, object]:
    samples = made.samples.only(made.samples.ids[:count])
    trained = fit(made.task, samples, Recipe(steps=20), seed=0)
    function = ModelFunction(trained)
    ours, theirs = (fisher(make, function, samples, 32) for make in (by_rules, by_vmap))
    error = float((ours - theirs).norm() / theirs.norm())
    assert error < 1e-4, error
    contenders = {
        "plain": lambda chunk: plain(function, samples, chunk),
        "rules": lambda chunk: fisher(by_rules, function, samples, chunk),
        "vmap": lambda chunk: fisher(by_vmap, function, samples, chunk),
    }
    seconds: dict[tuple[str, int], list[float]] = {(name, chunk): [] for name in contenders for chunk in CHUNKS}
    for _ in range(repeats):
        for name, chunk in seconds:
            started = time.perf_counter()
            contenders[name](chunk)
            seconds[name, chunk].append(time.perf_counter() - started)
    medians = {key: statistics.median(times) for key, times in seconds.items()}
    # Each at its own best chunk.
    best = {name: min(medians[name, chunk] for chunk in CHUNKS) for name in contenders}
    return {
        "dataset": made.name,
        "model": type(function.model).__name__,
        "samples": count,
        "repeats": repeats,
        "relative_error_to_vmap": error,
        "fisher_vs_plain": best["rules"] / best["plain"],
        "vmap_vs_plain": best["vmap"] / best["plain"],
        "fisher_vs_vmap": best["vmap"] / best["rules"],
        "best_chunks": {name: min(CHUNKS, key=lambda chunk: medians[name, chunk]) for name in contenders},
        "plain_samples_per_second": count / best["plain"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    root = Path(os.environ.get("UNSCATHED_DATA", ""))
    setups = [setup("digits")]
    setups += [setup(name, root / name) for name in ("mnist", "cifar10") if root.name and (root / name).is_dir()]
    figures = [compare(made, arguments.samples, arguments.repeats) for made in setups]
    for figure in figures:
        print(
            f"{figure['dataset']:8} {figure['model']:10} Fisher diagonal {figure['fisher_vs_plain']:.2f}× "
            f"a plain pass, vmap {figure['vmap_vs_plain']:.2f}×; {figure['fisher_vs_vmap']:.2f} times faster than vmap"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"environment": provenance(), "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
