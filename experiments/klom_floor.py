"""What can KLOM see of few models, beside its floor?

    python experiments/klom_floor.py [--samples 4000] [--draws 60]

Margins are normal. For each number of models a side, and for the paper's 20 bins as for half as many bins as models:
KLOM of gold from gold, and the shift, in standard deviations, at which KLOM is 1.5 times that. Then, how often the
interval of `compare_klom` holds the mean over many draws, with noise that all samples of a model share.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unscathed.audit import compare_klom, klom
from unscathed.audit.klom import BINS
from unscathed.lab.provenance import provenance
from unscathed.training.checkpoint import write_atomically
from unscathed.training.seeds import generator

RATIO = 1.5
MOST = 12.0


def times_and_floor(models: int, bins: int, shift: float, samples: int) -> tuple[float, float]:
    """How many times its floor KLOM is, and the floor, nats."""
    parts = [
        torch.randn(models, samples, generator=generator(0, name, models), dtype=torch.float64)
        for name in ("models", "golds", "more golds")
    ]
    ours, one, other = parts[0] + shift, parts[1], parts[2]
    # As `compare_klom` does, without its interval, which takes as many comparisons as there are models.
    value = (klom(ours, one, bins=bins) + klom(ours, other, bins=bins)).mean() / 2
    floor = float((klom(one, other, bins=bins) + klom(other, one, bins=bins)).mean() / 2)
    return float(value) / floor, floor


def shift_seen(models: int, bins: int, samples: int) -> float | None:
    """The shift at which KLOM is 1.5 times its floor; None where it never is."""
    low, high = 0.0, MOST
    if times_and_floor(models, bins, high, samples)[0] < RATIO:
        return None
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (low, middle) if times_and_floor(models, bins, middle, samples)[0] > RATIO else (middle, high)
    return high


def coverage(models: int, shift: float, draws: int) -> dict[str, float]:
    """How often the interval holds the mean of ``KLOM - 1.5 floor``, its half width and what it should be."""

    def drawn(name: str, draw: int, count: int, moved: float) -> Tensor:
        random = generator(draw, name, models)
        own = torch.randn(count, 200, generator=random, dtype=torch.float64)
        return moved + 0.9 * own + 0.44 * torch.randn(count, 1, generator=random, dtype=torch.float64)

    middles, reaches = [], []
    for draw in range(draws):
        found = compare_klom(drawn("models", draw, models, shift), drawn("golds", draw, 2 * models, 0.0), ratio=RATIO)
        middles.append(float(found.values.mean() - RATIO * found.floor.mean()))
        reaches.append((found.difference.high - found.difference.low) / 2)
    middle = torch.tensor(middles)
    held = (middle - middle.mean()).abs() <= torch.tensor(reaches)
    return {
        "held": float(held.double().mean()),
        "half_width": float(torch.tensor(reaches).mean()),
        "standard_deviation": float(middle.std()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "klom-floor.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    command = f"python experiments/klom_floor.py --samples {args.samples} --draws {args.draws}"
    kept = {k: provenance()[k] for k in ("commit", "code", "versions", "processor")}
    record: dict[str, Any] = {"command": command, **kept, "shifts": [], "intervals": []}
    print("| models a side | bins | gold from gold, nats | shift seen |\n| ---: | ---: | ---: | ---: |")
    for models in (4, 8, 16, 32, 64, 100):
        for bins in sorted({max(2, min(BINS, models // 2)), BINS}):
            seen, floor = shift_seen(models, bins, args.samples), times_and_floor(models, bins, 0.0, args.samples)[1]
            record["shifts"].append({"models": models, "bins": bins, "floor": floor, "shift": seen})
            print(f"| {models} | {bins} | {floor:.2f} | {'none' if seen is None else f'{seen:.2f}'} |", flush=True)
    print("\n| models a side | shift | held | half width | standard deviation |\n| ---: | ---: | ---: | ---: | ---: |")
    for models in (4, 8, 16):
        for shift in (0.0, 1.0):
            found = coverage(models, shift, args.draws)
            record["intervals"].append({"models": models, "shift": shift, **found})
            print(f"| {models} | {shift} | " + " | ".join(f"{v:.2f}" for v in found.values()) + " |", flush=True)
    write_atomically(args.json, (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
