"""A picture of what `warm_start.py` found: test accuracy less gold's, by share of gold's steps.

python experiments/warm_start_figure.py experiments/results
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

PANELS = {
    "mnist": "MNIST, small convolutional net",
    "digits": "digits, perceptron",
    "cifar10": "CIFAR-10, small convolutional net",
    "cifar10-features": "CIFAR-10, frozen features",
}
LINES = {
    (0.1, "fresh"): ("fresh weights", "#d55e00", "-"),
    (0.1, "fresh, spares too"): ("fresh, on the spares too", "#d55e00", ":"),
    (0.1, "warm start, rate 0.5"): ("warm start, 10 % held back", "#3a8fd0", "-"),
    (0.2, "warm start, rate 0.5"): ("warm start, 20 % held back", "#3a8fd0", "--"),
}
LOWEST = -12


def main() -> None:
    folder = Path(sys.argv[1])
    panels = {case: title for case, title in PANELS.items() if (folder / f"warm-start-{case}.json").exists()}
    figure, axes = plt.subplots(1, len(panels), figsize=(3.2 * len(panels), 3.4), layout="constrained", sharey=True)
    for axis, (case, title) in zip(axes, panels.items(), strict=True):
        rows = json.loads((folder / f"warm-start-{case}.json").read_text())["rows"]
        golds = {(r["seed"], r["reserve"]): r["test"] for r in rows if r["way"] == "gold"}
        axis.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        for (reserve, way), (label, colour, style) in LINES.items():
            of = defaultdict(list)
            for r in rows:
                if (r["reserve"], r["way"]) == (reserve, way):
                    of[r["share"]].append(r["test"] - golds[r["seed"], reserve])
            shares = sorted(of)
            means, spreads = (np.array([f(of[s]) for s in shares]) for f in (np.mean, np.std))
            axis.plot(shares, means, style, color=colour, label=label, marker="o", markersize=3)
            axis.fill_between(shares, means - spreads, means + spreads, color=colour, alpha=0.12, linewidth=0)
        axis.set(title=title, xlabel="share of gold's steps", xscale="log", ylim=(LOWEST, 1.5))
        axis.set_xticks(shares, [f"{s:.0%}" for s in shares])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("test accuracy less gold's, points")
    axes[-1].legend(fontsize=7, frameon=False, loc="lower right")
    figure.savefig(folder / "warm-start.png", dpi=110)


if __name__ == "__main__":
    main()
