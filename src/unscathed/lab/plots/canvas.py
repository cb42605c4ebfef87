"""Canvas: a figure of small multiples in the look that all plots share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unscathed.lab.look import GOLD, HOLLOW, MARKERS, MORE_MARKERS, ORIGINAL
from unscathed.lab.plots.data import State
from unscathed.lab.statistics import Estimate

INK, SOFT, LINE = "#1d1d1f", "#63636b", "#dcdce0"
LOOK: Any = {
    "font.size": 8,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.8,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "unscathed",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.06,
}
COLUMNS = 4
"""The most panels side by side."""


DOT: dict[str, Any] = {
    "marker": ".",
    "linestyle": "",
    "alpha": 0.45,
    "markersize": 3,
    "markeredgewidth": 0,
    "zorder": 2,
}


@dataclass(frozen=True)
class Shape:
    """A marker.

    Args:
        marker: matplotlib's letter for it.
        hollow: whether it is an outline.
    """

    marker: str
    hollow: bool

    def style(self, colour: str) -> dict[str, Any]:
        """As matplotlib's arguments."""
        face = "white" if self.hollow else colour
        return {
            "marker": self.marker, "markerfacecolor": face, "markeredgecolor": colour if self.hollow else "white",
            "markeredgewidth": 1.0 if self.hollow else 0.4, "markersize": 3.7 if self.marker == "D" else 4.8,
        }  # fmt: skip


class Canvas:
    """A figure with a grid of panels; those beyond the last are left blank.

    Args:
        titles: of the panels, or of the columns where rows have labels.
        rows: labels of the rows, where each row has a panel for every title.
        width, height: of a panel, inches.
        share: axes that have the same scale everywhere: ``"x"``, ``"y"``, or both.
    """

    def __init__(
        self, titles: Sequence[str], *, rows: Sequence[str] = (), width: float = 1.6, height: float = 1.6, share: str
    ) -> None:
        count = len(titles) * max(len(rows), 1)
        across = len(titles) if rows else min(COLUMNS, count)
        down = math.ceil(count / across)
        with mpl.rc_context(LOOK):
            self.figure = Figure(figsize=(max(0.6 + across * width, 4.6), 1.0 + down * height))
            grid = self.figure.subplots(down, across, sharex="x" in share, sharey="y" in share, squeeze=False)
            self.axes: list[Axes] = list(grid.flat)[:count]
            for index, axes in enumerate(self.axes):
                if not rows or index < across:
                    axes.set_title(titles[index])
                if rows and index % across == 0:
                    axes.set_ylabel(rows[index // across].replace(" · ", "\n"), weight="bold", size=8)
                # The lowest panel of a column has its labels, also where the grid's last row is not full.
                axes.tick_params(labelbottom=index + across >= count or "x" not in share)
            for blank in list(grid.flat)[count:]:
                blank.set_visible(False)

    def remark(self, axes: Axes, text: str, colour: str) -> None:
        """A line between a panel and its title."""
        with mpl.rc_context(LOOK):
            axes.set_title(axes.get_title(loc="left"), pad=15)
            axes.text(0, 1.025, text, transform=axes.transAxes, color=colour, size=7.5)

    def finish(self, x: str, y: str, note: str, handles: Sequence[Any], second: Sequence[Any] = ()) -> Figure:
        """Name the axes once for all panels, and add the legend, in one row or two, under what n is."""
        if second:
            blank = Line2D([], [], linestyle="", label="")
            # Legends are filled column by column.
            handles = [part for pair in zip_longest(handles, second, fillvalue=blank) for part in pair]
        with mpl.rc_context(LOOK):
            self.figure.supxlabel(x, fontsize=8)
            self.figure.supylabel(y, fontsize=8)
            legend = self.figure.legend(
                handles=handles,
                loc="outside upper left",
                ncols=len(handles) // 2 if second else len(handles),
                handlelength=1.4,
                columnspacing=1.2,
                handletextpad=0.5,
                title=note,
                title_fontsize=7.5,
                alignment="left",
            )
            legend.get_title().set_color(SOFT)
        return self.figure


def shapes(states: Sequence[State]) -> dict[State, Shape]:
    """How each state is marked: one shape each, the same in every figure where it can be."""
    further = iter(MORE_MARKERS)
    given: dict[State, Shape] = {}
    taken: set[str] = set()
    for state in states:
        own = MARKERS.get(state.sign, "") if state.sign not in taken else ""
        taken.add(state.sign)
        given[state] = Shape(own or next(further, "o"), bool(own) and state.sign in HOLLOW)
    return given


def draw(
    axes: Axes,
    x: float,
    y: float,
    colour: str,
    shape: Shape,
    *,
    wide: Estimate | None = None,
    high: Estimate | None = None,
    seeds: Sequence[float] = (),
) -> None:
    """A point with its whisker, and single seeds as dots along it.

    Args:
        axes: the panel.
        x, y: where.
        colour: of all.
        shape: of the marker.
        wide, high: the interval, along x or along y.
        seeds: single values along the same axis.
    """
    point = wide or high
    if point is not None and point.low is not None and point.high is not None:
        ends, same = [point.low, point.high], [y if wide else x] * 2
        axes.plot(*((ends, same) if wide else (same, ends)), color=colour, linewidth=0.9, zorder=3)
    if len(seeds) > 1:
        same = [y if wide else x] * len(seeds)
        axes.plot(*((seeds, same) if wide else (same, seeds)), color=colour, **DOT)
    axes.plot([x], [y], color=colour, linestyle="", zorder=4, **shape.style(colour))


def reference(axes: Axes, point: Estimate, *, colour: str = GOLD, style: str = "--", vertical: bool = False) -> None:
    """A line across the panel, with the interval as a band."""
    line, band = (axes.axvline, axes.axvspan) if vertical else (axes.axhline, axes.axhspan)
    line(point.mean, color=colour, linestyle=style, linewidth=1.0, zorder=1)
    if point.low is not None and point.high is not None and point.high > point.low:
        band(point.low, point.high, color=colour, alpha=0.13, linewidth=0, zorder=0)


def legend_lines(colours: dict[str, str]) -> list[Line2D]:
    """Handles for unlearners."""
    return [Line2D([], [], color=colour, label=name, linewidth=2) for name, colour in colours.items()]


def legend_markers(states: Sequence[State]) -> list[Line2D]:
    """Handles for states."""
    return [
        Line2D([], [], color=INK, linestyle="", label=state.label, **shape.style(INK))
        for state, shape in shapes(states).items()
    ]


def gold_line() -> Line2D:
    """The handle for gold."""
    return Line2D([], [], color=GOLD, linestyle="--", linewidth=1.0, label="gold")


def original_line() -> Line2D:
    """The handle for the original."""
    return Line2D([], [], color=ORIGINAL, linestyle=":", linewidth=1.0, label="original")
