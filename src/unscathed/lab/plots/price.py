"""Price: what unlearning and healing cost, as a share of retraining, against what the model then lacks."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from unscathed.lab.frames import PLACE, complete, measured
from unscathed.lab.look import GOLD, colours
from unscathed.lab.plots.canvas import Canvas, draw, gold_line, legend_lines, legend_markers, shapes
from unscathed.lab.plots.data import Data
from unscathed.lab.statistics import Interval

COSTS = {"steps": "gradient steps", "wall_seconds": "time"}
AXES = [axis for axis in PLACE if axis not in ("stage", "healer", "similarity")]


def price(frame: pd.DataFrame, *, measure: str = "test", interval: Interval = "t") -> Figure:
    """Test accuracy lost against gold over the price, in gold's gradient steps above and in its seconds below.

    Args:
        frame: measurements, see `read`.
        measure: what is drawn, see `Data`.
        interval: of the differences over seeds.
    """
    data = Data(frame, measure, against="gold", interval=interval)
    states = [state for state in data.states if state.stage in ("unlearned", "healed")]
    for cost in COSTS:
        shares = _shares(frame, cost).rename(columns={"share_of_gold": cost})
        data.rows = data.rows.merge(shares, on=[*AXES, "stage", "healer", "similarity"], how="left")
    panels = data.panels()
    canvas = Canvas([label for label, _ in panels], rows=list(COSTS.values()), share="xy")
    palette, marks = colours(data.unlearners), shapes(states)
    for index, axes in enumerate(canvas.axes):
        _, rows = panels[index % len(panels)]
        axes.axhline(0, color=GOLD, linestyle="--", linewidth=1.0, zorder=1)
        axes.axvline(1, color=GOLD, linestyle="--", linewidth=1.0, zorder=1)
        for name, colour in palette.items():
            own = data.of(name, rows)
            start: tuple[float, float] | None = None
            for state in states:
                there = own[own["state"] == state]
                share = float(there[list(COSTS)[index // len(panels)]].mean())
                if math.isnan(share):
                    continue
                point = data.estimate(there)
                draw(axes, share, point.mean, colour, marks[state], high=point)
                if state.stage == "unlearned":
                    start = (share, point.mean)
                elif start is not None:
                    axes.plot(
                        [start[0], share], [start[1], point.mean], color=colour, linewidth=0.7, alpha=0.5, zorder=2
                    )
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high < 60 * low else (1.0,)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        axes.xaxis.set_minor_locator(NullLocator())
    points = ", points" if data.measure.unit == "%" else ""
    return canvas.finish(
        "price of unlearning and healing together, over gold’s",
        f"{data.measure.title} minus gold’s{points}",
        data.note.replace("; dots are single seeds", ""),
        [*legend_lines(palette), gold_line()],
        legend_markers(states),
    )


def _shares(frame: pd.DataFrame, cost: str) -> pd.DataFrame:
    """What unlearning, and healing after it, cost each model, over what gold's whole training did."""
    rows = complete(measured(frame, cost), ["unlearner"])
    rows = rows[rows["value"] > 0] if cost != "steps" else rows
    gold = rows[rows["stage"] == "gold"][[*AXES, "value"]].rename(columns={"value": "of_gold"})
    unlearned = rows[rows["stage"] == "unlearned"][[*AXES, "value"]].rename(columns={"value": "before"})
    shares = rows[rows["stage"].isin(["unlearned", "healed"])].merge(gold, on=AXES).merge(unlearned, on=AXES)
    healing = shares["value"].where(shares["stage"] == "healed", 0.0)
    shares["share_of_gold"] = (shares["before"] + healing) / shares["of_gold"]
    return shares[[*AXES, "stage", "healer", "similarity", "share_of_gold"]]
