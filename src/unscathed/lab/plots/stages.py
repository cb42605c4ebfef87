"""Stages: test accuracy on the way from the original through gold and unlearning to healing."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from unscathed.lab.look import GOLD, colours
from unscathed.lab.plots.canvas import LINE, SOFT, Canvas, Shape, draw, gold_line, legend_lines, reference, shapes
from unscathed.lab.plots.data import Data, State
from unscathed.lab.statistics import Interval


def stages(frame: pd.DataFrame, *, measure: str = "test", interval: Interval = "t") -> Figure:
    """A line for each unlearner from stage to stage, a panel for each adversary; gold is a line across.

    Args:
        frame: measurements, see `read`.
        measure: what is drawn, see `Data`.
        interval: over seeds.
    """
    data = Data(frame, measure, interval=interval)
    panels, states = data.panels(), data.states
    canvas = Canvas([label for label, _ in panels], width=0.6 + 0.17 * len(states), height=1.9, share="xy")
    palette, marks = colours(data.unlearners), shapes(states)
    for axes, (_, rows) in zip(canvas.axes, panels, strict=True):
        gold = data.shared("gold", rows)
        if len(gold):
            point = data.estimate(gold)
            reference(axes, point)
            draw(axes, _place(states, "gold"), point.mean, GOLD, Shape("o", False))
        for index, name in enumerate(palette):
            own = data.of(name, rows)
            aside = 0.15 * (index - (len(palette) - 1) / 2)
            line = []
            for place, state in enumerate(states):
                there = own[own["state"] == state]
                if state.stage == "gold" or there.empty:
                    continue
                point = data.estimate(there)
                # Healed states are alternatives, not steps: each line ends at the first of them.
                if state.stage != "healed" or state == data.healed[0]:
                    line.append((place + aside, point.mean))
                values = there["value"].tolist()
                draw(axes, place + aside, point.mean, palette[name], marks[state], high=point, seeds=values)
            axes.plot(*zip(*line, strict=True), color=palette[name], linewidth=1.0, alpha=0.75, zorder=2)
        axes.set_xticks(range(len(states)), [state.short for state in states], rotation=40, ha="right")
        axes.set_xlim(-0.6, len(states) - 0.4)
        axes.grid(False, axis="x")
        if len(data.healed) > 1:
            edge = len(states) - len(data.healed) - 0.5
            axes.axvspan(edge, len(states) - 0.4, color=LINE, alpha=0.35, linewidth=0, zorder=0)
            axes.text(edge + 0.15, 0.02, "healed with", transform=axes.get_xaxis_transform(), color=SOFT, size=7)
    if len(data.healed) > 1:
        low, high = canvas.axes[0].get_ylim()
        canvas.axes[0].set_ylim(low - 0.1 * (high - low), high)
    return canvas.finish("", data.measure.heading, data.note, [*legend_lines(palette), gold_line()])


def _place(states: list[State], stage: str) -> int:
    return [state.stage for state in states].index(stage)
