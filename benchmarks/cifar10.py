"""What FastNet reaches on CIFAR-10's test images after so many minutes of training.

    python benchmarks/cifar10.py --minutes 5 [--seed 0] [--hold-back 0.1] [--json FILE]

No test-time augmentation, no pretrained weights. A plan is sized to end within its minutes on two idle cores with
native bfloat16 products; what it took is printed. Beside other work the wall time grows and the accuracy does not.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path

from unscathed import ClassificationTask, Flip, Progress, Recipe, Shift, fit
from unscathed.lab import datasets
from unscathed.lab.models import FastNet
from unscathed.lab.results import environment

PLANS = {3: ((32, 128, 128), 10), 5: ((48, 192, 192), 10), 20: ((64, 256, 256), 16), 40: ((128, 384, 384), 20)}
"""By minutes: the widths, and the passes over 50,000 images."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, choices=PLANS, default=5)
    parser.add_argument("--epochs", type=float, help="other than the plan's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hold-back", type=float, default=0.0, help="share of the training images not trained on")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    data = datasets.cifar10()
    samples = data.samples.split(reserve=arguments.hold_back, seed=0)[0] if arguments.hold_back else data.samples
    widths, epochs = PLANS[arguments.minutes]
    task = ClassificationTask(partial(FastNet, widths=widths), 10, normalise=data.facts["normalise"])
    recipe = Recipe(
        epochs=arguments.epochs or epochs,
        batch_size=512,
        optimizer="muon",
        learning_rate=0.024,
        momentum=0.6,
        weight_decay=0.3,
        augment=(Flip(), Shift(2)),
    )
    wall, processor = time.perf_counter(), time.process_time()
    with Progress() as progress:
        trained = fit(task, samples, recipe, seed=arguments.seed, callbacks=[progress])
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    seen = trained.history[0].steps * recipe.batch_size
    figures = {
        "test_accuracy": trained.score(data.test),
        "wall_seconds": wall,
        "processor_seconds": processor,
        "images_per_second": seen / wall,
        "images_per_processor_second": seen / processor,
        "parameters": trained.task.signature()["parameters"],
        "widths": widths,
        "training_samples": len(samples),
        "seed": arguments.seed,
        "recipe": recipe.to_json(),
        "environment": environment(),
    }
    print(json.dumps(figures, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
