"""Figures: accuracy through the stages, and forgetting against gold, a small plot for each adversary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from unscathed.lab.labels import BOTH, CONTROL, TWINS
from unscathed.lab.look import GOLD, colours
from unscathed.lab.report.cases import Case, Model, by_adversary, by_unlearner
from unscathed.lab.report.wording import Voice

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
    model: Model


def palette_of(cases: Iterable[Case]) -> dict[str, str]:
    """A colour for each unlearner, the same in every figure.

    Args:
        cases: what is shown.
    """
    return colours(by_unlearner(cases))


def accuracy_figures(cases: Sequence[Case], voice: Voice) -> dict[str, go.Figure]:
    """Test accuracy: original, unlearned, healed, and the control, by adversary; the scale is the same for all.

    Args:
        cases: what is shown.
        voice: how the score is spoken of.
    """
    palette = palette_of(cases)
    scale = _scale(cases, (ORIGINAL, UNLEARNED, BOTH, CONTROL), "test_accuracy")
    figures = {}
    for adversary, group in by_adversary(cases).items():
        figure = _figure()
        methods = by_unlearner(group)
        for index, (name, own) in enumerate(methods.items()):
            # Methods that end at the same accuracy would hide one another: each stands a little to the side.
            aside = 0.1 * (index - (len(methods) - 1) / 2)
            for case in own:
                points = [
                    _Point(place + aside, model.test_accuracy, stage, model)
                    for stage, place in ((ORIGINAL, 0), (UNLEARNED, 1), (BOTH, 2), (CONTROL, 2.9))
                    if (model := _at(case, stage)) is not None
                ]
                way = [point for point in points if point.stage != CONTROL]
                _draw(figure, case, palette[name], way, voice, lines=True)
                _draw(figure, case, palette[name], [p for p in points if p.stage == CONTROL], voice)
        for gold in {case.gold.test_accuracy for case in group if case.gold}:
            figure.add_hline(gold, line={"color": GOLD, "dash": "dash", "width": 1.5}, layer="below")
        ticks = {"tickvals": [0, 1, 2, 2.9], "ticktext": ["original", "unlearned", "healed", "control"]}
        figure.update_xaxes(range=[-0.45, 3.35], showgrid=False, **ticks)
        figure.update_yaxes(range=scale, ticksuffix=voice.tick)
        figures[adversary] = figure
    return figures


def forgetting_figures(cases: Sequence[Case], voice: Voice) -> dict[str, go.Figure]:
    """Accuracy on the forgotten samples at every stage against gold's, by adversary; right of gold remembers.

    Args:
        cases: what is shown.
        voice: how the score is spoken of.
    """
    palette = palette_of(cases)
    stages = (ORIGINAL, UNLEARNED, BOTH, CONTROL, TWINS)
    scale = _scale(cases, stages, "forget_accuracy")
    figures = {}
    for adversary, group in by_adversary(cases).items():
        figure = _figure()
        methods = by_unlearner(group)
        for index, (name, own) in enumerate(methods.items()):
            for case in own:
                # One rung for each stage, or points at the same accuracy would hide one another.
                points = [
                    _Point(model.forget_accuracy, 0.32 - 0.16 * rung - index, stage, model)
                    for rung, stage in enumerate(stages)
                    if (model := _at(case, stage)) is not None
                ]
                _draw(figure, case, palette[name], points, voice, along="x")
            if index:
                figure.add_hline(0.5 - index, line={"color": LINE, "width": 1}, layer="below")
        for gold in {case.gold.forget_accuracy for case in group if case.gold}:
            figure.add_vline(gold, line={"color": GOLD, "dash": "dash", "width": 1.5}, layer="below")
        ticks = {"tickvals": [-index for index in range(len(methods))], "ticktext": [escape(name) for name in methods]}
        figure.update_yaxes(range=[0.5 - len(methods), 0.5], showgrid=False, **ticks)
        figure.update_xaxes(range=scale, ticksuffix=voice.tick)
        figures[adversary] = figure
    return figures


def _at(case: Case, stage: str) -> Model | None:
    return {ORIGINAL: case.original, UNLEARNED: case.unlearned}.get(stage, case.healed.get(stage))


def _scale(cases: Iterable[Case], stages: Sequence[str], measure: str) -> list[float]:
    """From the least to the largest of what is shown, intervals too, with a margin."""
    models = [model for case in cases for model in (case.gold, *(_at(case, stage) for stage in stages))]
    found = [model.estimate(measure) for model in models if model is not None]
    values = [end for one in found for end in (one.mean, one.low, one.high) if end is not None and end == end]
    values = values or [0.0, 100.0]
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
    figure: go.Figure,
    case: Case,
    colour: str,
    points: Sequence[_Point],
    voice: Voice,
    *,
    lines: bool = False,
    along: str = "y",
) -> None:
    measure = "test_accuracy" if along == "y" else "forget_accuracy"
    halves = [point.model.estimate(measure).half for point in points]
    whisker = {"type": "data", "array": halves, "color": colour, "thickness": 1, "width": 0}
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
        text=[f"<b>{escape(case.name)}</b>, {WORDS[point.stage]}<br>{_told(point.model, voice)}" for point in points],
        hovertemplate="%{text}<extra></extra>",
        **({f"error_{along}": whisker} if any(halves) else {}),
    )


def _told(model: Model, voice: Voice) -> str:
    parts = []
    for name, measure in (("test", "test_accuracy"), ("forgotten", "forget_accuracy")):
        found = model.estimate(measure)
        half = "" if found.half is None else f" ± {found.half:.{voice.digits}f}"
        parts.append(f"{name} {voice.number(found.mean)}{half}{voice.tick}")
    n = f", {len(model.rows)} seeds" if len(model.rows) > 1 else ""
    return ", ".join(parts) + n
