"""Markdown tables of what attacks cost, from an experiment's measurements.

    python experiments/attack_tables.py experiments/results/attacks-mnist [--budget 0.1]

For one size of request: test accuracy after unlearning and after healing, in points above what random requests of the
same size leave, paired by seed, mean ± standard deviation; and accuracy on the forgotten. Where there are several
sizes: what each costs gold, and the unlearner that it costs most. "Gold" is `Retrain`.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pandas as pd

GOLD = "Retrain"
WORTH_A_ROW = 0.75
"""Points that an attack must cost somebody, on average, to be listed after healing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", type=float, default=0.1)
    arguments = parser.parse_args()
    found = measurements(arguments.folder)
    one = found[found.budget == arguments.budget]
    size = f"{arguments.budget:.0%}".replace("%", " %")
    for stage in ("unlearned", "healed"):
        print(f"Test accuracy, {stage}, in points above what `Random` leaves:\n")
        print("\n".join(lost(one, stage, f"{size} asked for by")), end="\n\n")
    print("Accuracy on the forgotten, %, after unlearning → after healing:\n")
    print("\n".join(known(one, f"{size} asked for by")), end="\n\n")
    if found.budget.nunique() > 1:
        print("By size, in points above what `Random` of that size leaves:\n")
        print("\n".join(by_size(found)))


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


def by_size(frame: pd.DataFrame) -> list[str]:
    """What each size costs gold, and whom it costs most."""
    sizes = sorted(frame.budget.unique())
    points = {size: above_random(frame[frame.budget == size], "unlearned") for size in sizes}
    titles = [f"{size:.0%}".replace("%", " %") for size in sizes]
    lines = header("asked for by", [f"gold, {t}" for t in titles] + [f"most, {t}" for t in titles])
    for adversary in adversaries(frame):
        mean = {size: part.loc[adversary].mean(axis=1).drop(GOLD) for size, part in points.items()}
        gold = [spread(points[size].loc[adversary].loc[GOLD]) for size in sizes]
        most = [f"`{m.idxmin()}` {spread(points[s].loc[adversary].loc[m.idxmin()])}" for s, m in mean.items()]
        lines.append(row(f"`{adversary}`", gold + most))
    return lines


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
