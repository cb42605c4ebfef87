"""Markdown tables of what attacks cost, from an experiment's measurements.

    python experiments/attack_tables.py experiments/results/attacks-mnist [--budget 0.1] [--figure FILE]

For one size of request: test accuracy after unlearning and after healing, in points above what random requests of the
same size leave, paired by seed, mean ± standard deviation; and accuracy on the forgotten. The figure has all sizes
before healing. "Gold" is `Retrain`.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import SymLogNorm

GOLD = "Retrain"
WORTH_A_ROW = 0.75
"""Points that an attack must cost somebody, on average, to be listed after healing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", type=float, default=0.1)
    parser.add_argument("--figure", type=Path, help="write what is lost, by size, as a picture")
    arguments = parser.parse_args()
    found = measurements(arguments.folder)
    one = found[found.budget == arguments.budget]
    size = f"{arguments.budget:.0%}".replace("%", " %")
    for stage in ("unlearned", "healed"):
        print(f"Test accuracy, {stage}, in points above what `Random` leaves:\n")
        print("\n".join(lost(one, stage, f"{size} asked for by")), end="\n\n")
    print("Accuracy on the forgotten, %, after unlearning → after healing:\n")
    print("\n".join(known(one, f"{size} asked for by")), end="\n\n")
    if arguments.figure:
        draw(found, arguments.figure)


def measurements(folder: Path) -> pd.DataFrame:
    """Rows of unlearned and healed models, their adversary parted into its name and its budget."""
    frame = pd.read_parquet(folder / "measurements")
    frame = frame[frame.stage.isin(["unlearned", "healed"])].copy()
    frame["budget"] = frame.adversary.map(lambda text: float(re.search(r"budget=([\d.]+)", text)[1]))
    frame["adversary"] = frame.adversary.map(named)
    frame["unlearner"] = frame.unlearner.str.replace("(curvature='last-layer')", "", regex=False)
    return frame


def named(adversary: str) -> str:
    """An adversary without its budget."""
    name, _, inside = adversary.rstrip(")").partition("(")
    rest = [part for part in inside.split(", ") if not part.startswith("budget=")]
    return f"{name}({', '.join(rest)})" if rest else name


def unlearners(frame: pd.DataFrame) -> list[str]:
    order = ["Sisa", "Fisher", "Influence", "SelectiveDampening", "Scrub", "NegGradPlus"]
    return [GOLD, *sorted(set(frame.unlearner) - {GOLD}, key=lambda u: order.index(u.partition("(")[0]))]


def values(frame: pd.DataFrame, stage: str, measure: str) -> pd.DataFrame:
    """Percent, by adversary and unlearner (rows) and seed (columns)."""
    part = frame[(frame.stage == stage) & (frame.measure == measure)]
    return part.pivot_table(index=["adversary", "unlearner"], columns="seed", values="value")


def above_random(frame: pd.DataFrame, stage: str) -> pd.DataFrame:
    """Points of test accuracy above what random requests leave."""
    accuracy = values(frame, stage, "test_accuracy")
    return accuracy - accuracy.loc["Random"].reindex(accuracy.index.get_level_values("unlearner")).to_numpy()


def lost(frame: pd.DataFrame, stage: str, heading: str) -> list[str]:
    columns = unlearners(frame)
    base, points = values(frame, stage, "test_accuracy").loc["Random"], above_random(frame, stage)
    lines = header(heading, columns)
    lines.append(row("`Random` itself, %", [spread(base.loc[u], sign=False) for u in columns]))
    for adversary in adversaries(frame):
        cells = points.loc[adversary].reindex(columns)
        if stage == "unlearned" or cells.mean(axis=1).abs().max() >= WORTH_A_ROW:
            lines.append(row(f"`{adversary}`", [spread(cells.loc[u]) for u in columns]))
    return lines


def known(frame: pd.DataFrame, heading: str) -> list[str]:
    columns = unlearners(frame)
    stages = [values(frame, stage, "forget_accuracy").mean(axis=1) for stage in ("unlearned", "healed")]
    lines = header(heading, columns)
    for adversary in ["Random", *adversaries(frame)]:
        before, after = ([part.loc[adversary, u] for u in columns] for part in stages)
        cells = [f"{b:.0f} → {a:.0f}" for b, a in zip(before, after, strict=True)]
        lines.append(row(f"`{adversary}`", [f"{before[0]:.0f}", *cells[1:]]))
    return lines


def draw(frame: pd.DataFrame, file: Path) -> None:
    """What each size costs each unlearner before healing, a square for each adversary."""
    sizes, rows, columns = sorted(frame.budget.unique()), adversaries(frame), unlearners(frame)
    figure, panels = plt.subplots(
        1, len(sizes), figsize=(2.6 + 2.4 * len(sizes), 1.9 + 0.3 * len(rows)), sharey=True, layout="constrained"
    )
    shade = SymLogNorm(linthresh=1, vmin=-30, vmax=30)
    for panel, size in zip(np.atleast_1d(panels), sizes, strict=True):
        points = above_random(frame[frame.budget == size], "unlearned").mean(axis=1).unstack().loc[rows, columns]
        drawn = panel.imshow(points, cmap="RdBu", norm=shade, aspect="auto")
        for (row, column), value in np.ndenumerate(points):
            dark = abs(value) > 8
            text = f"{value:.1f}".replace("-", "−").replace("−0.0", "0.0")
            panel.text(column, row, text, ha="center", va="center", fontsize=6, color="white" if dark else "black")
        titles = ["gold" if c == GOLD else c.partition("(")[0] for c in columns]
        panel.set_xticks(range(len(columns)), titles, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
        panel.set_yticks(range(len(rows)), rows, fontsize=8)
        panel.set_title(f"{100 * size:g} % asked for", fontsize=9)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
    figure.colorbar(
        drawn, ax=panels, label="points above random requests", ticks=[-30, -10, -3, -1, 0, 1, 3], format="%g"
    )
    figure.savefig(file, dpi=110)


def adversaries(frame: pd.DataFrame) -> list[str]:
    """All but random ones, from those who know nothing to those who know most."""
    order = [
        "OneClass",
        "Outliers",
        "Prototypes",
        "RareSubgroups",
        "OutputAware",
        "HighestConfidence",
        "Representative",
    ]
    order += ["ParameterAware", "Influential", "GradientMatching", "FisherWeights", "WorstCase"]
    names = sorted(set(frame.adversary) - {"Random"}, reverse=True)
    return sorted(names, key=lambda name: order.index(name.partition("(")[0]))


def spread(cell: pd.Series, *, sign: bool = True) -> str:
    text = f"{cell.mean():+.1f}" if sign else f"{cell.mean():.1f}"
    return f"{text} ± {cell.std():.1f}".replace("-", "−")


def header(first: str, columns: list[str]) -> list[str]:
    titles = ["gold" if c == GOLD else c if "," in c else f"`{c}`" for c in columns]
    return [row(first, titles), "| --- |" + " ---: |" * len(columns)]


def row(first: str, cells: list[str]) -> str:
    return f"| {first} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
