"""A picture of short-retraining.toml: what unlearners lose of accuracy, and what they still know, against gold.

Arrows go from the unlearned to the healed model; the line is short retraining, unhealed, by its share of the steps.

python experiments/short_retraining_figure.py experiments/results/short-retraining
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

PANELS = {"digits": "digits", "small_mnist": "MNIST", "cifar10_features": "CIFAR-10, frozen features"}
COLOURS = {
    "Fisher": "#d55e00",
    "Influence": "#3a8fd0",
    "GradientAscent": "#cc79a7",
    "NegGradPlus": "#e69f00",
    "Scrub": "#56b4e9",
}


def main() -> None:
    folder = Path(sys.argv[1])
    frame = pd.read_parquet(folder / "measurements")
    frame = frame[frame.adversary.str.startswith("ParameterAware") & frame.stage.isin(["unlearned", "healed"])]
    rows = ["dataset", "unlearner", "stage", "seed"]
    wide = frame.pivot_table(index=rows, columns="measure", values="value")[["test_accuracy", "forget_accuracy"]]
    gold = wide.xs("Retrain", level="unlearner").xs("unlearned", level="stage")
    apart = (wide - gold).groupby(level=["dataset", "unlearner", "stage"]).mean()
    figure, axes = plt.subplots(1, len(PANELS), figsize=(12, 3.9), layout="constrained")
    for axis, (dataset, title) in zip(axes, PANELS.items(), strict=True):
        of = apart.loc[next(d for d in apart.index.levels[0] if d.startswith(dataset))]
        short = [u for u in of.index.levels[0] if u.startswith("ShortRetraining") and "0.05" not in u]
        axis.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        axis.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        line = of.loc[[(u, "unlearned") for u in short]]
        axis.plot(line.test_accuracy, line.forget_accuracy, "-o", color="black", label="ShortRetraining", markersize=5)
        for unlearner, (x, y) in zip(short, line[["test_accuracy", "forget_accuracy"]].to_numpy(), strict=True):
            share = unlearner.removeprefix("ShortRetraining(share=").rstrip(")")
            axis.annotate(share, (x, y), textcoords="offset points", xytext=(0, -12), ha="center", fontsize=7)
        for name, colour in COLOURS.items():
            key = next(u for u in of.index.levels[0] if u.startswith(name))
            start, end = of.loc[(key, "unlearned")], of.loc[(key, "healed")]
            arrow = {"arrowstyle": "->", "color": colour, "linewidth": 1.2}
            ends = [(s.test_accuracy, s.forget_accuracy) for s in (end, start)]
            axis.annotate("", *ends, arrowprops=arrow)
            axis.plot(*ends[1], "o", color=colour, label=name, markersize=5)
            axis.plot(*ends[0], alpha=0)  # so that the arrow's end is within the axes
        axis.set(title=title, xlabel="test accuracy above gold's, points")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("accuracy on the forgotten above gold's, points")
    axes[0].legend(fontsize=7, frameon=False, loc="upper left")
    figure.savefig(folder / "short-retraining.png", dpi=110)


if __name__ == "__main__":
    main()
