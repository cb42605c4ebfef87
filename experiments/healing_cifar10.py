"""What healing reaches on CIFAR-10 as a frozen encoder sees it: `benchmarks/healing.py`, on a multilayer perceptron.

    python experiments/healing_cifar10.py [--samples 6000] [--test 4000] [--seeds 5] [--workers 2] [--json FILE]

All unlearners, both requests and collapse, as there, and all its options. 6,000 images at most, a tenth of them held
back. The encoder is EfficientNet-Lite0 (extra ``encoders``); its features are kept in the folder named by
UNSCATHED_CACHE, where there is one.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import healing
from attacked_data import cut
from planning_setups import TEST, encoded
from unscathed import ClassificationTask, Recipe
from unscathed.lab import datasets
from unscathed.lab.models import Head
from unscathed.lab.setups import Setup

MOST = 6000


def made(place: Path | None) -> Setup:
    """Features, a multilayer perceptron and its recipe, as in `planning_setups.py`."""
    dataset = encoded(cut(datasets.cifar10(place), MOST, TEST), f"cifar10-{MOST}-{TEST}")
    dimensions = dataset.facts["dimensions"]
    task = ClassificationTask(lambda: Head(10, dimensions, widths=(128,)), 10)
    return Setup(dataset, task, Recipe(epochs=10, batch_size=64))


healing.SETUPS["cifar10-features"] = made

if __name__ == "__main__":
    defaults = ["--dataset", "cifar10-features", "--samples", str(MOST), "--test", str(TEST)]
    healing.main([*defaults, *sys.argv[1:]])
