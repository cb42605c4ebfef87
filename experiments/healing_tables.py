"""Markdown tables, and a picture, of what `benchmarks/healing.py` and `healing_cifar10.py` found.

    python experiments/healing_tables.py experiments/results/healing-mnist.json [--figure FILE]

Each cell: test accuracy less gold's, points, mean ± standard deviation over seeds / accuracy on the forgotten less
gold's / for how many seeds RMIA's AUC lies in the interval of gold's / KLOM of the forgotten over its floor. Watchful
healing has its steps as a share of gold's, with looking and taking away; short retraining those of both. In the picture
gold is where the axes cross; up is memory, left is damage.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from short_retraining_figure import COLOURS as SOME_COLOURS

Row = dict[str, Any]
COLUMNS = ("none", "retain+twins, 5 %", "retain, 5 %", "twins, 5 %", "retain+twins, N/2", "watchful, 5 %")
FROM_COLLAPSE = ("none", *(f"{how}, 10 %" for how in ("retain+twins", "retain", "twins", "repair", "start over")))
REQUESTS = {"random": "random", "adversary": "`ParameterAware`"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path)
    parser.add_argument("--figure", type=Path, help="write the means as a picture")
    arguments = parser.parse_args()
    record = json.loads(arguments.record.read_text())
    rows, ratios = record["rows"], {(k["request"], k["unlearner"], k["healing"]): k["ratio"] for k in record["klom"]}
    for request, called in REQUESTS.items():
        print(f"{called}: {references([r for r in rows if r['request'] == request])}")
    names = dict.fromkeys((r["request"], r["unlearner"]) for r in sorted(rows, key=lambda r: r["request"] != "random"))
    for wanted, columns in ((False, COLUMNS), (True, FROM_COLLAPSE)):
        print("\n| | " + " | ".join("unlearned" if c == "none" else c for c in columns) + " |")
        print("| --- |" + " --- |" * len(columns))
        for request, name in names:
            if name.endswith("collapse") == wanted:
                cells = [cell(rows, ratios, request, name, column) for column in columns]
                print(f"| {REQUESTS[request]}, `{name.removesuffix(', collapse')}` | " + " | ".join(cells) + " |")
    print("\n| target | | worst mean | reached by |\n| --- | ---: | ---: | --- |")
    for found in record["targets"]:
        where = f" ({', '.join(found['where'])})" if found.get("where") else ""
        reached = f"± {found['reach']:.2f}" if found["met"] is None else f"{found['met']} of {found['of']}"
        bound = "" if found["bound"] is None else found["bound"]
        print(f"| {found['target']} | {bound} | {found['worst']:.2f}{where} | {reached} |")
    if arguments.figure:
        picture(rows, arguments.figure)
    print(f"\n{record['command']}\n{record['processor']}, {record['minutes']} minutes, commit {record['commit'][:7]}")


def references(rows: list[Row]) -> str:
    """What gold and the original make of test samples and of the forgotten (RMIA)."""
    of = {
        who: [statistics.fmean(r[f"{who}_{what}"] for r in rows if r["unlearner"] != "Sisa") for what in MEASURES]
        for who in ("gold", "original")
    }
    return "; ".join(f"{who} {t:.1f} on test, {f:.1f} on the forgotten ({a:.2f})" for who, (t, f, a) in of.items())


MEASURES = ("score", "forget_score", "rmia")


def cell(rows: list[Row], ratios: dict[tuple[str, ...], float], request: str, name: str, healing: str) -> str:
    found = [r for r in rows if (r["request"], r["unlearner"], r["healing"]) == (request, name, healing)]
    if not found:
        return ""
    test = spread([r["score"] - r["gold_score"] for r in found], 1)
    known = spread([r["forget_score"] - r["gold_forget_score"] for r in found], 0)
    inside = sum(r["gold_rmia_low"] <= r["rmia"] <= r["gold_rmia_high"] for r in found)
    text = f"{test} / {known} / {inside} / {ratios[request, name, healing]:.1f}"
    spent = {"watchful, 5 %": 0, "none": 1, "retain+twins, 5 %": 1}.get(healing)
    if spent == 0 or (spent and name == "ShortRetraining"):
        share = statistics.fmean((r["steps"] + spent * r["unlearning_steps"]) / r["gold_steps"] for r in found)
        text += f"; steps {share:.2f}"
    return text


MARKS = {"none": ("o", "none"), "retain+twins, 5 %": ("o", "full"), "watchful, 5 %": ("^", "full")}
CALLED = {"none": "unlearned", "retain+twins, 5 %": "healed, 5 % of the steps", "watchful, 5 %": "healed watchfully"}
COLOURS = {
    **SOME_COLOURS,
    "SelectiveDampening": "#8c6bb1",
    "Saliency": "#999999",
    "Sisa": "#009e73",
    "ShortRetraining": "black",
    "ShortRetraining, warm, 20 %": "#0b6623",
    "Retrain": "#b00020",
}


def picture(rows: list[Row], place: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 4.4), layout="constrained")
    for axis, (request, called) in zip(axes, REQUESTS.items(), strict=True):
        axis.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        axis.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        for name, colour in COLOURS.items():
            for healing, (mark, fill) in MARKS.items():
                of = [r for r in rows if (r["request"], r["unlearner"], r["healing"]) == (request, name, healing)]
                # A model in shards forgets exactly, and watchful healing does not look.
                if of and not (name == "Sisa" and healing.startswith("watchful")):
                    x = statistics.fmean(r["score"] - r["gold_score"] for r in of)
                    y = statistics.fmean(r["forget_score"] - r["gold_forget_score"] for r in of)
                    axis.plot(x, y, mark, color=colour, fillstyle=fill, markersize=7)
        axis.set(title=called.strip("`"), xlabel="test accuracy above gold's, points")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("accuracy on the forgotten above gold's, points")
    entries = [plt.Line2D([], [], marker="s", linestyle="", color=c, label=name) for name, c in COLOURS.items()]
    for healing, (mark, fill) in MARKS.items():
        entries.append(
            plt.Line2D([], [], marker=mark, fillstyle=fill, linestyle="", color="#444444", label=CALLED[healing])
        )
    figure.legend(handles=entries, fontsize=8, frameon=False, loc="outside right center")
    figure.savefig(place, dpi=110)


def spread(values: list[float], places: int) -> str:
    mean = round(statistics.fmean(values), places) + 0.0  # no -0.0
    return f"{mean:+.{places}f} ± {statistics.stdev(values):.{places}f}".replace("-", "−")


if __name__ == "__main__":
    main()
