"""Markdown tables from the demo's report.json files.

python experiments/tables.py experiments/results/demo-*.json
"""

import json
import sys
from pathlib import Path

STAGES = [
    ("original", None), ("gold", None), ("unlearned", None),
    ("healed", "retain+twins"), ("healed", "retain"), ("healed", "twins"),
]  # fmt: skip
HEADINGS = ["original", "gold", "unlearned", "healed", "control", "twins alone"]


def table(rows: list[dict], measure: str, digits: int) -> list[str]:
    lines = ["| adversary | unlearner | " + " | ".join(HEADINGS) + " |", "| --- | --- |" + " ---: |" * len(HEADINGS)]
    found = {(r["adversary"], r["unlearner"], r["stage"], r["healer"]): r for r in rows}
    for adversary, unlearner in dict.fromkeys((r["adversary"], r["unlearner"]) for r in rows):
        values = [found.get((adversary, unlearner, *stage)) for stage in STAGES]
        cells = ["failed" if v is None else f"{v[measure]:.{digits}f}" for v in values]
        lines.append(f"| {adversary} | {unlearner} | " + " | ".join(cells) + " |")
    return lines


def prices(rows: list[dict]) -> list[str]:
    lines = [
        "| adversary | unlearner | gold: steps, s | unlearn + heal: steps, s | steps / gold | time / gold "
        "| whole (healed, control) | forgotten (healed, control) |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    found = {(r["adversary"], r["unlearner"], r["stage"], r["healer"]): r for r in rows}
    for adversary, unlearner in dict.fromkeys((r["adversary"], r["unlearner"]) for r in rows):
        _, gold, unlearned, healed, control, _ = (found.get((adversary, unlearner, *stage)) for stage in STAGES)
        steps, seconds = (unlearned[part] + healed[part] for part in ("steps", "seconds"))
        lines.append(
            f"| {adversary} | {unlearner} | {gold['steps']}, {gold['seconds']:.1f} | {steps}, {seconds:.1f} "
            f"| {steps / gold['steps']:.2f} | {seconds / gold['seconds']:.2f} "
            f"| {healed['whole']}, {control['whole']} | {healed['forgotten']}, {control['forgotten']} |"
        )
    return lines


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        report = json.loads(path.read_text())
        made, rows = report["environment"], report["rows"]
        print(f"### {made['dataset']}: {', '.join(dict.fromkeys(r['adversary'] for r in rows))}\n")
        print(
            f"`{made['command']}`, seed {made['seed']}; {made['training_samples']:,} training samples, "
            f"{made['reserve']:,} held back, {made['test_samples']:,} test samples, {rows[0]['forget_size']:,} "
            f"forgotten; {made['model']}, {made['parameters']:,} parameters, {made['precision']} on {made['device']}, "
            f"{made['cores']} cores ({made['processor']}), torch {made['versions']['torch']}.\n"
        )
        print("Test accuracy, %:\n")
        print("\n".join(table(rows, "test_accuracy", 2)))
        print("\nAccuracy on the forgotten, %:\n")
        print("\n".join(table(rows, "forget_accuracy", 1)))
        print("\nMembership AUC (0.5 is chance; what counts is the difference from gold):\n")
        print("\n".join(table(rows, "membership_auc", 3)))
        print("\nPrice and verdict:\n")
        print("\n".join(prices(rows)) + "\n")


if __name__ == "__main__":
    main()
