"""Markdown tables of what `benchmarks/healing.py` and `healing_cifar10.py` found.

    python experiments/healing_tables.py experiments/results/healing-mnist.json

Each cell: test accuracy less gold's, points, mean ± standard deviation over seeds / accuracy on the forgotten less
gold's / for how many seeds RMIA's AUC lies in the interval of gold's / KLOM of the forgotten over its floor. Watchful
healing has its steps as a share of gold's, with looking and taking away; short retraining those of both.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

Row = dict[str, Any]
COLUMNS = ("none", "retain+twins, 5 %", "retain, 5 %", "twins, 5 %", "retain+twins, N/2", "watchful, 5 %")
FROM_COLLAPSE = ("none", *(f"{how}, 10 %" for how in ("retain+twins", "retain", "twins", "repair", "start over")))
REQUESTS = {"random": "random", "adversary": "`ParameterAware`"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path)
    record = json.loads(parser.parse_args().record.read_text())
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


def spread(values: list[float], places: int) -> str:
    mean = round(statistics.fmean(values), places) + 0.0  # no -0.0
    return f"{mean:+.{places}f} ± {statistics.stdev(values):.{places}f}".replace("-", "−")


if __name__ == "__main__":
    main()
