"""Forgetting: what models know of the forgotten, against gold, which never saw them."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from unscathed.lab.look import GOLD, colours
from unscathed.lab.plots.canvas import LINE, Canvas, draw, gold_line, legend_markers, shapes
from unscathed.lab.plots.data import Data
from unscathed.lab.statistics import Interval


def forgetting(frame: pd.DataFrame, *, measure: str = "forget", interval: Interval = "t") -> Figure:
    """Differences from gold in accuracy on the forgotten, paired by seed; a row for each unlearner and state.

    Right of gold's line a model remembers, or was taught with samples like them; far left it knows suspiciously little.

    Args:
        frame: measurements, see `read`.
        measure: what is drawn, see `Data`.
        interval: of the differences over seeds.
    """
    data = Data(frame, measure, against="gold", interval=interval)
    gold = Data(frame, measure, interval=interval)
    panels, states = data.panels(), data.states
    palette, marks = colours(data.unlearners), shapes(states)
    step = 0.8 / max(len(states), 1)
    canvas = Canvas(
        [label for label, _ in panels], share="xy", height=0.4 + 0.12 * (len(states) + 1) * len(palette), width=1.6
    )
    for axes, (_, rows) in zip(canvas.axes, panels, strict=True):
        known = gold.estimate(gold.shared("gold", rows)).mean
        said = f"gold: {known:.{gold.measure.digits}f} {gold.measure.unit}"
        canvas.remark(axes, said, GOLD)
        axes.axvline(0, color=GOLD, linestyle="--", linewidth=1.0, zorder=1)
        for index, (name, colour) in enumerate(palette.items()):
            own = data.of(name, rows)
            for rung, state in enumerate(states):
                there = own[own["state"] == state]
                if there.empty:
                    continue
                point, y = data.estimate(there), -index + 0.4 - step * (rung + 0.5)
                draw(axes, point.mean, y, colour, marks[state], wide=point, seeds=there["value"].tolist())
            if index:
                axes.axhline(0.5 - index, color=LINE, linewidth=0.6, zorder=0)
        axes.set_yticks([-index for index in range(len(palette))], list(palette))
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(0.5 - len(palette), 0.5)
        axes.grid(False, axis="y")
    points = ", points" if data.measure.unit == "%" else f", {data.measure.unit}" if data.measure.unit else ""
    heading = f"{data.measure.title}: difference from gold{points}"
    return canvas.finish(heading, "", data.note, [*legend_markers(states), gold_line()])
