"""Susceptibility: what a model loses when more and more is to be forgotten."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unscathed.lab.look import GOLD, ORIGINAL, colours
from unscathed.lab.plots.canvas import DOT, Canvas, gold_line, legend_lines, original_line
from unscathed.lab.plots.data import Data
from unscathed.lab.statistics import Interval
from unscathed.problems import BadInputError


def susceptibility(frame: pd.DataFrame, *, measure: str = "test", interval: Interval = "t") -> Figure:
    """Test accuracy against the share forgotten: a row for each adversary, columns for unlearned and healed models.

    Args:
        frame: measurements, see `read`, of adversaries with several budgets.
        measure: what is drawn, see `Data`.
        interval: over seeds, drawn as a band.

    Raises:
        BadInputError: no adversary has several budgets.
    """
    data = Data(frame, measure, interval=interval)
    states = [state for state in data.states if state.stage in ("unlearned", "healed")]
    rows = [(label, rows) for label, rows in data.panels(["kind"]) if rows["adversary"].nunique() > 1]
    if not rows or not states:
        raise BadInputError("cannot draw the plot", ["no adversary has several budgets"])
    canvas = Canvas([state.label for state in states], rows=[label for label, _ in rows], share="xy")
    palette = colours(data.unlearners)
    for index, axes in enumerate(canvas.axes):
        _, own = rows[index // len(states)]
        for stage, colour, style in (("original", ORIGINAL, ":"), ("gold", GOLD, "--")):
            _curve(axes, data, data.shared(stage, own), colour, style, dots=False)
        for name, colour in palette.items():
            of = own[own["state"] == states[index % len(states)]]
            _curve(axes, data, data.of(name, of), colour, "-", dots=True)
    handles = [*legend_lines(palette), gold_line(), original_line()]
    return canvas.finish("forgotten, % of the training samples", data.measure.heading, data.note, handles)


def _curve(axes: Axes, data: Data, rows: pd.DataFrame, colour: str, style: str, *, dots: bool) -> None:
    """The mean at each share with its interval as a band."""
    groups = [group for _, group in rows.groupby("adversary", observed=True)]
    found = sorted(((float(g["share"].mean()), data.estimate(g), g["value"]) for g in groups), key=lambda part: part[0])
    if not found:
        return
    shares = [share for share, _, _ in found]
    points = [point for _, point, _ in found]
    axes.plot(
        shares, [p.mean for p in points], style, color=colour, marker="o" if dots else "", markersize=3.5,
        linewidth=1.4 if dots else 1.0, zorder=3 if dots else 4,
    )  # fmt: skip
    if all(point.n > 1 for point in points):
        low, high = (np.array([getattr(p, end) for p in points], dtype=float) for end in ("low", "high"))
        axes.fill_between(shares, low, high, color=colour, alpha=0.14, linewidth=0, zorder=0)
    if dots and any(point.n > 1 for point in points):
        for share, _, values in found:
            axes.plot([share] * len(values), values, **DOT, color=colour)
