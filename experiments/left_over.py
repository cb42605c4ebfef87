"""Is what matching leaves of a reserve a fair sample of what was never seen?

    python experiments/left_over.py [--dataset digits] [--samples 6000] [--seeds 5] [--json FILE]

A random request for 5 % of the training samples takes its twins from reserves of several sizes. Gold, which never saw
the forgotten, is then audited without a gold: against the spares that are left over, against as many that were drawn
at random, before matching, and against test samples; and a memory signal looks at it, which is fitted to each. Whatever
fails gold is wrong. The original, audited beside it, must fail. What a file of an earlier run with the same settings
has is not done again.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from planning_setups import Setting, begun, environment, write
from unscathed import Cosine, Features, Samples, SpareSet, Trained, audit, fit
from unscathed.adversaries import BlindView, Random
from unscathed.healing import MemorySignal
from unscathed.healing.memory import shows
from unscathed.training import Progress
from unscathed.training.seeds import derive

SHARE = 0.05
"""Of the training samples, what the request names."""
SPENT = (0.1, 0.25, 0.5, 0.75)
"""Of the reserve, by this request."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--samples", type=int, default=6000, help="the most samples, the reserve among them")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    setting = Setting.of(arguments.dataset, arguments.samples)
    # The largest reserve and what is trained on are all there is.
    count = round(SHARE / (1 + SHARE / min(SPENT)) * len(setting.samples))
    record = begun(arguments.json, {**environment(setting), "request": count}, "rows")
    with Progress() as progress:
        progress.on_start("seeds", arguments.seeds)
        for seed in range(arguments.seeds):
            if all(row["seed"] != seed for row in record["rows"]):
                record["rows"] += list(rows(setting, count, seed))
                write(arguments.json, record)
            progress.on_step(seed + 1)
    print(table(record["rows"]))


def rows(setting: Setting, count: int, seed: int) -> Iterator[dict[str, Any]]:
    samples, spares = setting.samples.split(reserve=round(count / min(SPENT)), seed=seed)
    original = fit(setting.task, samples, setting.recipe, seed=seed)
    forget = Random(count, seed=seed).choose(BlindView(samples))
    forgotten, retain = samples.only(forget), samples.without(forget)
    gold = fit(setting.task, retain, setting.recipe, seed=derive(seed, "gold"))
    for spent in SPENT:
        pool = spares.split(reserve=round(count / spent), seed=seed)[1] if spent > min(SPENT) else spares
        twins = SpareSet(pool, Cosine(Features()), shortfall="partial").match(forgotten, original, distinct=retain)
        left = pool.without(twins.fresh)
        others = {"left over": left, "at random": pool.split(reserve=len(left), seed=seed)[1], "test": setting.test}
        for name, unseen in others.items():
            signal = MemorySignal.fit(original, retain=retain, unseen=unseen)
            for who, model in (("gold", gold), ("original", original)):
                yield {
                    "seed": seed,
                    "spent": spent,
                    "unseen": name,
                    "samples": len(unseen),
                    "model": who,
                    "unseen score": model.score(unseen),
                    **judged(model, original, forgotten, unseen, setting.test),
                    "memory": bool(shows(signal.of(model, forgotten), setting.task, 0.02)),
                }


def judged(model: Trained, original: Trained, forgotten: Samples, unseen: Samples, test: Samples) -> dict[str, Any]:
    verdict = audit(model, forgotten=forgotten, test=test, unseen=unseen, original=original)
    differences = {check.name: check.of.difference for check in verdict.forgetting}
    return {"forgotten score": model.score(forgotten), "fails": verdict.forgotten == "fail", **differences}


def table(found: list[dict[str, Any]]) -> str:
    """For each reserve: the unseen samples' score, what the audit makes of gold, and how often it fails."""
    lines = [
        "spent  unseen       samples  score  gap          AUC beyond 0.5  gold fails  memory  original fails  memory"
    ]
    for spent in SPENT:
        for unseen in ("left over", "at random", "test"):
            gold, original = (
                [r for r in found if (r["spent"], r["unseen"], r["model"]) == (spent, unseen, who)]
                for who in ("gold", "original")
            )
            gap, area = (
                f"{100 * statistics.fmean(values):+.1f} ± {100 * statistics.stdev(values):.1f}"
                for values in ([r[name] for r in gold] for name in ("score on the forgotten", "membership AUC"))
            )
            alarms = [
                f"{sum(r[name] for r in of)}/{len(of)}" for of in (gold, original) for name in ("fails", "memory")
            ]
            score = 100 * statistics.fmean(r["unseen score"] for r in gold)
            lines.append(
                f"{spent:5.0%}  {unseen:11}  {gold[0]['samples']:7}  {score:5.1f}  {gap:11}  {area:14}  "
                f"{alarms[0]:>10}  {alarms[1]:>6}  {alarms[2]:>14}  {alarms[3]:>6}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
