"""How fast `fit` trains: beside a straightforward loop, and beside its convolutions alone.

    python benchmarks/training.py [--steps 20] [--repeats 5] [--json FILE]

The loop is what a tutorial shows: a `DataLoader` over images with transforms of single images as torchvision's do (a
random crop out of a padded image, a random flip, a tensor, normalised), float32, default layout, SGD. `fit` does the
same steps on the same net and batches of the same size. The convolutions alone are the net's own, forward and
backward, in bfloat16 and channels-last, on inputs that lie ready: what `fit` would take if all else were free.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from timing import in_turns, medians, ratio
from unscathed import ClassificationTask, Flip, Recipe, Samples, Shift, fit
from unscathed.lab import datasets
from unscathed.lab.models import ColourNet, FastNet
from unscathed.lab.provenance import provenance

BATCH = 512
NETS: dict[str, Callable[[], nn.Module]] = {"FastNet": FastNet, "ColourNet": ColourNet}


class Images(Dataset[tuple[Tensor, int]]):
    """Images with a target and transforms, one by one."""

    def __init__(self, samples: Samples, normalise: tuple[list[float], list[float]], pixels: int) -> None:
        self.images = [Image.fromarray(i) for i in samples.inputs.permute(0, 2, 3, 1).numpy()]
        self.targets = samples.targets.tolist()
        self.mean, self.std = (torch.tensor(v).view(3, 1, 1) for v in normalise)
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = ImageOps.expand(self.images[index], self.pixels)
        left, top = torch.randint(2 * self.pixels + 1, (2,)).tolist()
        image = image.crop((left, top, left + 32, top + 32))
        if torch.rand(1) < 0.5:
            image = ImageOps.mirror(image)
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return (tensor - self.mean) / self.std, self.targets[index]


def plain_loop(build: Callable[[], nn.Module], images: Images, steps: int, workers: int) -> None:
    """What a tutorial shows."""
    model = build().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
    loader = DataLoader(images, BATCH, shuffle=True, drop_last=True, num_workers=workers)
    done = 0
    while done < steps:
        for inputs, targets in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
            schedule.step()
            done += 1
            if done == steps:
                break


def convolutions_alone(build: Callable[[], nn.Module], batch: Tensor) -> tuple[Callable[[], None], float]:
    """The net's convolutions on inputs that lie ready; and what they take in floating-point operations a sample."""
    model = build()
    calls: list[Callable[[], object]] = []
    operations = 0.0
    original = nn.functional.conv2d

    def watched(inputs: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, *rest: Any) -> Any:
        nonlocal operations
        output = original(inputs, weight, bias, stride, padding, *rest)
        x, w = (t.detach().to(torch.bfloat16).contiguous(memory_format=torch.channels_last) for t in (inputs, weight))
        g = torch.randn_like(output, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
        pair = [stride, stride] if isinstance(stride, int) else list(stride)
        around = [padding, padding] if isinstance(padding, int) else list(padding)
        wanted = [inputs.requires_grad, weight.requires_grad, False]
        calls.append(partial(torch.convolution, x, w, None, pair, around, [1, 1], False, [0, 0], 1))
        if any(wanted):
            backward = torch.ops.aten.convolution_backward
            calls.append(partial(backward, g, x, w, None, pair, around, [1, 1], False, [0, 0], 1, wanted))
        products = 2 * weight.numel() * output.shape[2] * output.shape[3]
        operations += products * (1 + sum(wanted))
        return output

    nn.functional.conv2d = watched  # type: ignore[assignment]
    try:
        model(batch)
    finally:
        nn.functional.conv2d = original

    def run() -> None:
        for call in calls:
            call()

    return run, operations


def compare(name: str, samples: Samples, normalise: Any, steps: int, repeats: int) -> dict[str, object]:
    """One net."""
    build = NETS[name]
    images = Images(samples, normalise, 2)
    task = ClassificationTask(build, 10, normalise=normalise)
    recipe = Recipe(steps=steps, batch_size=BATCH, optimizer="sgd", learning_rate=0.1, augment=(Flip(), Shift(2)))
    alone, operations = convolutions_alone(build, torch.randn(BATCH, 3, 32, 32))
    contenders: dict[str, Callable[[], object]] = {
        "fit": lambda: fit(task, samples, recipe, seed=0),
        "loop": lambda: plain_loop(build, images, steps, 0),
        "loop, 2 workers": lambda: plain_loop(build, images, steps, 2),
        "convolutions": lambda: [alone() for _ in range(steps)],
    }
    in_turns(contenders, 1)  # warm up
    seconds = in_turns(contenders, repeats)
    median = medians(seconds)
    loop = min(("loop", "loop, 2 workers"), key=lambda which: median[which])
    seen = steps * BATCH
    return {
        "net": name,
        "steps": steps,
        "batch": BATCH,
        "repeats": repeats,
        "fit_vs_plain_loop": ratio(seconds[loop], seconds["fit"]),
        "loop": loop,
        "samples_per_second": {which: seen / s for which, s in median.items()},
        "fit_share_of_convolution_rate": ratio(seconds["convolutions"], seconds["fit"]),
        "convolution_gflop_per_second": operations * seen / median["convolutions"] / 1e9,
        "gflop_per_sample": operations / 1e9,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--nets", nargs="*", default=list(NETS), choices=NETS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    root = os.environ.get("UNSCATHED_DATA")
    if not root or not (Path(root) / "cifar10").is_dir():
        print("nothing to do: there is no cifar10 in the folder named by UNSCATHED_DATA")
        return
    dataset = datasets.cifar10(Path(root) / "cifar10")
    samples = dataset.samples.only(dataset.samples.ids[:20_000])
    figures = []
    for name in arguments.nets:
        made = compare(name, samples, dataset.facts["normalise"], arguments.steps, arguments.repeats)
        figures.append(made)
        rates = ", ".join(f"{which} {rate:,.0f}" for which, rate in made["samples_per_second"].items())  # type: ignore[attr-defined]
        print(
            f"{name:10} {made['fit_vs_plain_loop']['median']:.2f} × the loop; "  # type: ignore[index]
            f"{made['fit_share_of_convolution_rate']['median']:.0%} of its convolutions' rate "  # type: ignore[index]
            f"({made['convolution_gflop_per_second']:,.0f} GFLOP/s); samples a second: {rates}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"environment": provenance(), "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
