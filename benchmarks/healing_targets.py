"""The targets of healing, each beside its figure (see `healing.py`)."""

from __future__ import annotations

import statistics
from typing import Any

from scipy import stats

Row = dict[str, Any]


def targets(record: dict[str, Any]) -> list[Row]:
    """Each target beside its figure: the worst of the means over seeds, and how many combinations reach it."""
    rows = record["rows"]
    whole = {c: [r["score"] - r["gold_score"] for r in of] for c, of in grouped(rows).items()}

    def gains(healing: str, over: str) -> dict[tuple[str, ...], list[float]]:
        found: dict[tuple[str, ...], list[float]] = {}
        for (request, name, how), of in grouped(rows).items():
            if how == healing:
                control = {
                    r["seed"]: r["score"]
                    for r in rows
                    if (r["request"], r["unlearner"], r["healing"]) == (request, name, over)
                }
                if control:
                    found[request, name] = [r["score"] - control[r["seed"]] for r in of]
        return found

    def utility(healing: str, least: float) -> Row:
        means = {c[:2]: statistics.fmean(d) for c, d in whole.items() if c[2] == healing}
        return at_least(f"healed minus gold, {healing}, points", least, means)

    def trained_anew(name: str, least: float) -> Row:
        means = {c[:2]: statistics.fmean(d) for c, d in whole.items() if c[1:] == (name, "none")}
        return at_least(f"trained anew minus gold, {name.removeprefix('ShortRetraining, ')}, points", least, means)

    twins = {**gains("retain+twins, 5 %", "retain, 5 %"), **gains("retain+twins, 10 %", "retain, 10 %")}
    all_gains = [g for of in twins.values() for g in of]
    member = {
        c: statistics.fmean(r["gold_rmia_low"] <= r["rmia"] <= r["gold_rmia_high"] for r in of)
        for c, of in grouped(rows).items()
    }
    ratios = {(k["request"], k["unlearner"], k["healing"]): k["ratio"] for k in record["klom"]}
    main = ("retain+twins, 5 %", "retain+twins, 10 %")
    watched = "watchful, 5 %"
    times = {
        c[:2]: statistics.median(r["seconds"] / r["gold_seconds"] for r in of)
        for c, of in grouped(rows).items()
        if c[2] == main[0]
    }
    alone = {c: statistics.fmean(g) for c, g in gains("twins, 5 %", "retain, 5 %").items()}
    found = [
        utility(main[0], -0.5),
        utility("retain+twins, N/2", -0.1),
        utility(main[1], -1.0),
        utility("repair, 10 %", -1.0),
        trained_anew("ShortRetraining, warm, 10 %", -1.0),
        trained_anew("ShortRetraining, warm, 20 %", -0.5),
        at_least(
            "training anew for fewer steps: share of seeds with RMIA's AUC in gold's interval",
            1.0,
            {c[:2]: m for c, m in member.items() if c[1].startswith("ShortRetraining") and c[2] == "none"},
        ),
        at_least(
            "share of seeds with RMIA's AUC in gold's interval", 1.0, {c: m for c, m in member.items() if c[2] in main}
        ),
        at_least("the same, healed watchfully", 1.0, {c: m for c, m in member.items() if c[2] == watched}),
        at_most("KLOM of the forgotten over gold's floor", 1.5, {c: m for c, m in ratios.items() if c[2] in main}),
        at_most("the same, healed watchfully", 1.5, {c: m for c, m in ratios.items() if c[2] == watched}),
        {
            "target": "what twins add to retained samples, points",
            "bound": None,
            "worst": statistics.fmean(all_gains or [0.0]),
            "reach": reach(all_gains or [0.0, 0.0]),
            "met": None,
            "of": len(twins),
        },
        at_least("twins alone minus retained alone, 5 %, points", -1.5, alone),
        at_most("seconds from request to audited model over retraining", 0.10, times),
    ]
    return [row for row in found if row["of"]]


def grouped(rows: list[Row]) -> dict[tuple[str, str, str], list[Row]]:
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["request"], row["unlearner"], row["healing"]), []).append(row)
    return found


def at_least(target: str, bound: float, figures: dict[Any, float]) -> Row:
    worst = min(figures, key=lambda c: figures[c], default=())
    met = sum(figure >= bound for figure in figures.values())
    return {
        "target": target,
        "bound": bound,
        "worst": figures.get(worst, 0.0),
        "where": list(worst),
        "met": met,
        "of": len(figures),
    }


def at_most(target: str, bound: float, figures: dict[Any, float]) -> Row:
    found = at_least(target, -bound, {c: -figure for c, figure in figures.items()})
    return {**found, "bound": bound, "worst": -found["worst"]}


def reach(values: list[float]) -> float:
    """Half the 95 % interval of a mean."""
    return float(stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5)


def table(found: list[Row]) -> str:
    """Target and figure side by side."""
    lines = [f"{'':80}{'target':>8}{'worst':>9}{'met':>9}   where"]
    for row in found:
        bound = "" if row["bound"] is None else f"{row['bound']:g}"
        met = f"±{row['reach']:.3f}" if row["met"] is None else f"{row['met']}/{row['of']}"
        lines.append(f"{row['target']:80}{bound:>8}{row['worst']:9.3f}{met:>9}   {', '.join(row.get('where', []))}")
    return "\n".join(lines)
