"""Figures: accuracy through the stages, and forgetting against gold, a small plot for each adversary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from unscathed.lab.report.cases import BOTH, CONTROL, TWINS, Case, by_adversary, by_unlearner
from unscathed.lab.results import Row

# Okabe and Ito's colours, which most colour-blind people can tell apart, as far as they show on white and on black.
COLOURS = {"Retrain": "#8c8c8c", "SISA": "#009e73", "Fisher": "#d55e00", "Influence": "#3a8fd0"}
FURTHER = ("#cc79a7", "#e69f00", "#56b4e9")
GOLD = "#b8860b"
# Greys that show on white and on black.
INK, LINE = "#858585", "rgba(133,133,133,0.28)"
HEIGHT = 300
ORIGINAL, UNLEARNED = "original", "unlearned"
SYMBOLS = {
    ORIGINAL: "circle-open",
    UNLEARNED: "triangle-down",
    BOTH: "circle",
    CONTROL: "diamond-open",
    TWINS: "x-thin",
}
WORDS = {
    ORIGINAL: "original",
    UNLEARNED: "unlearned",
    BOTH: "healed on retained data + twins",
    CONTROL: "healed on retained data alone (control)",
    TWINS: "healed on twins alone",
}


@dataclass(frozen=True)
class _Point:
    x: float
    y: float
    stage: str
    row: Row


def colours(cases: Iterable[Case]) -> dict[str, str]:
    """A colour for each unlearner, the same in every figure.

    Args:
        cases: what is shown.
    """
    further = iter(FURTHER)
    return {name: COLOURS.get(name) or next(further, INK) for name in by_unlearner(cases)}


def accuracy_figures(cases: Sequence[Case], digits: int) -> dict[str, go.Figure]:
    """Test accuracy: original, unlearned, healed, and the control, by adversary; the scale is the same for all.

    Args:
        cases: what is shown.
        digits: decimals of a percentage.
    """
    palette = colours(cases)
    scale = _scale(cases, (ORIGINAL, UNLEARNED, BOTH, CONTROL), lambda row: row.test_accuracy)
    figures = {}
    for adversary, group in by_adversary(cases).items():
        figure = _figure()
        methods = by_unlearner(group)
        for index, (name, own) in enumerate(methods.items()):
            # Methods that end at the same accuracy would hide one another: each stands a little to the side.
            aside = 0.1 * (index - (len(methods) - 1) / 2)
            for case in own:
                points = [
                    _Point(place + aside, row.test_accuracy, stage, row)
                    for stage, place in ((ORIGINAL, 0), (UNLEARNED, 1), (BOTH, 2), (CONTROL, 2.9))
                    if (row := _at(case, stage)) is not None
                ]
                way = [point for point in points if point.stage != CONTROL]
                _draw(figure, case, palette[name], way, digits, lines=True)
                _draw(figure, case, palette[name], [p for p in points if p.stage == CONTROL], digits)
        for gold in {case.gold.test_accuracy for case in group if case.gold}:
            figure.add_hline(gold, line={"color": GOLD, "dash": "dash", "width": 1.5}, layer="below")
        ticks = {"tickvals": [0, 1, 2, 2.9], "ticktext": ["original", "unlearned", "healed", "control"]}
        figure.update_xaxes(range=[-0.45, 3.35], showgrid=False, **ticks)
        figure.update_yaxes(range=scale, ticksuffix=" %")
        figures[adversary] = figure
    return figures


def forgetting_figures(cases: Sequence[Case], digits: int) -> dict[str, go.Figure]:
    """Accuracy on the forgotten samples at every stage against gold's, by adversary; right of gold remembers.

    Args:
        cases: what is shown.
        digits: decimals of a percentage.
    """
    palette = colours(cases)
    stages = (ORIGINAL, UNLEARNED, BOTH, CONTROL, TWINS)
    scale = _scale(cases, stages, lambda row: row.forget_accuracy)
    figures = {}
    for adversary, group in by_adversary(cases).items():
        figure = _figure()
        methods = by_unlearner(group)
        for index, (name, own) in enumerate(methods.items()):
            for case in own:
                # One rung for each stage, or points at the same accuracy would hide one another.
                points = [
                    _Point(row.forget_accuracy, 0.32 - 0.16 * rung - index, stage, row)
                    for rung, stage in enumerate(stages)
                    if (row := _at(case, stage)) is not None
                ]
                _draw(figure, case, palette[name], points, digits)
            if index:
                figure.add_hline(0.5 - index, line={"color": LINE, "width": 1}, layer="below")
        for gold in {case.gold.forget_accuracy for case in group if case.gold}:
            figure.add_vline(gold, line={"color": GOLD, "dash": "dash", "width": 1.5}, layer="below")
        ticks = {"tickvals": [-index for index in range(len(methods))], "ticktext": [escape(name) for name in methods]}
        figure.update_yaxes(range=[0.5 - len(methods), 0.5], showgrid=False, **ticks)
        figure.update_xaxes(range=scale, ticksuffix=" %")
        figures[adversary] = figure
    return figures


def _at(case: Case, stage: str) -> Row | None:
    return {ORIGINAL: case.original, UNLEARNED: case.unlearned}.get(stage, case.healed.get(stage))


def _scale(cases: Iterable[Case], stages: Sequence[str], measure: Callable[[Row], float]) -> list[float]:
    """From the least to the largest of what is shown, with a margin."""
    rows = [row for case in cases for row in (case.gold, *(_at(case, stage) for stage in stages))]
    values = [measure(row) for row in rows if row is not None] or [0.0, 100.0]
    margin = max(0.08 * (max(values) - min(values)), 0.05)
    return [min(values) - margin, max(values) + margin]


def _figure() -> go.Figure:
    axis = {
        "gridcolor": LINE,
        "linecolor": LINE,
        "zeroline": False,
        "tickangle": 0,
        "fixedrange": True,
        "automargin": True,
    }
    return go.Figure(
        layout={
            "template": "none",
            "height": HEIGHT,
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            "font": {"color": INK, "size": 11, "family": "system-ui, sans-serif"},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "showlegend": False,
            "hovermode": "closest",
            "dragmode": False,
            "xaxis": axis,
            "yaxis": axis,
        }
    )


def _draw(
    figure: go.Figure, case: Case, colour: str, points: Sequence[_Point], digits: int, *, lines: bool = False
) -> None:
    figure.add_scatter(
        x=[point.x for point in points],
        y=[point.y for point in points],
        mode="lines+markers" if lines else "markers",
        line={"color": colour, "width": 1.5},
        marker={
            "color": colour,
            "size": 8,
            "symbol": [SYMBOLS[point.stage] for point in points],
            "line": {"color": colour, "width": [2 if point.stage == TWINS else 1.5 for point in points]},
        },
        cliponaxis=False,
        text=[
            f"<b>{escape(case.name)}</b>, {WORDS[point.stage]}<br>test {point.row.test_accuracy:.{digits}f} %, "
            f"forgotten {point.row.forget_accuracy:.{digits}f} %"
            for point in points
        ],
        hovertemplate="%{text}<extra></extra>",
    )
