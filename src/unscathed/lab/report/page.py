"""The report: one page that shows and tells what an experiment measured."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from plotly.offline import get_plotlyjs

from unscathed.lab.labels import parse
from unscathed.lab.plots.write import figures as every_figure
from unscathed.lab.plots.write import save
from unscathed.lab.report import figures
from unscathed.lab.report.cases import Case, Model, by_adversary, cases
from unscathed.lab.report.grid import HEADINGS, grid_lines
from unscathed.lab.report.provenance import lead, limits, made, overview
from unscathed.lab.report.source import results_of
from unscathed.lab.report.story import story
from unscathed.lab.report.wording import Voice, marks, number, signed, span, times, voice
from unscathed.lab.results import Results, TwinPair
from unscathed.training.checkpoint import write_atomically

TEMPLATE = "page.html.jinja"
PANELS = 8
"""The most adversaries that get an interactive panel each; more are drawn as still figures."""


def write_page(source: str | Path | Results | Sequence[Results], path: Path) -> None:
    """Write the page, see `write_report`."""
    write_atomically(path, _page(results_of(source)).encode())


def _page(every: Sequence[Results]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unscathed.lab.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    grid = any(_is_grid(results) for results in every) or len(every) > 1
    settings = [_setting(index, results, grid) for index, results in enumerate(every)]
    several = len(every) > 1
    about = str(every[0].frame["experiment"].iloc[0]) if several and every[0].frame is not None else every[0].dataset
    return environment.get_template(TEMPLATE).render(
        title=f"Unlearning and healing{': ' if several else ' on '}{about}",
        lead=overview(every) if several else lead(every[0]),
        settings=settings,
        several=several,
        headings=HEADINGS if several else HEADINGS[1:],
        cells=[line if several else line[1:] for results in every for line in grid_lines(results)] if grid else [],
        plotly=get_plotlyjs(),
        plotted=any(setting["accuracy"] for setting in settings),
    )


def _is_grid(results: Results) -> bool:
    """Whether there is more to it than one seed, one budget and one way of healing."""
    found = cases(results)
    kinds = {row.adversary: parse(row.adversary).title for row in results.rows}
    return (
        len({row.seed for row in results.rows}) > 1
        or len(set(kinds.values())) < len(kinds)
        or len({case.way for case in found}) > 1
    )


def _setting(index: int, results: Results, grid: bool) -> dict[str, Any]:
    """What the page shows of one setting."""
    found, spoken = cases(results), voice(results)
    groups = by_adversary(found)
    drawn = found if len(groups) <= PANELS else []
    accuracy, forgetting = figures.accuracy_figures(drawn, spoken), figures.forgetting_figures(drawn, spoken)
    return {
        "id": f"setting-{index}",
        "title": results.title or results.dataset,
        "lead": lead(results),
        "story": story(results),
        "groups": {adversary: [_line(case, spoken) for case in group] for adversary, group in groups.items()},
        "long": not drawn and bool(found),
        "sisa": any(case.sharded for case in found),
        "seeds": len({row.seed for row in results.rows}),
        "voice": spoken,
        "accuracy": _panels(f"accuracy-{index}", "test_accuracy", accuracy, found, spoken),
        "forgetting": _panels(f"forgetting-{index}", "forget_accuracy", forgetting, found, spoken),
        "stills": _stills(results, bool(drawn)) if grid and results.frame is not None else [],
        "colours": figures.palette_of(found),
        "pairs": _pairs(results.twins),
        "notes": results.notes,
        "limits": limits(results),
        "made": made(results.environment),
    }


@dataclass(frozen=True)
class _Panel:
    """A small plot."""

    name: str
    adversary: str
    gold: str
    plot: Any


@dataclass(frozen=True)
class _Cell:
    """A number, and how far it is from gold's."""

    value: str
    difference: str = ""
    half: str = ""


def _line(case: Case, spoken: Voice) -> dict[str, Any]:
    """One line of the main table."""
    price = case.price()

    def cells(models: Sequence[Model | None], measure: str, places: int) -> list[_Cell]:
        return [_cell(model, case.gold, measure, places) for model in models]

    return {
        "name": case.name,
        "test": cells(case.models, "test_accuracy", spoken.digits),
        "forgotten": cells(case.models, "forget_accuracy", spoken.digits),
        "membership": cells([case.gold, case.unlearned, case.both], "membership_auc", 3),
        "price": ["–", "–"] if price is None else [times(part) for part in price],
        "marks": [_marks(case.both, question) for question in ("whole", "forgotten")],
    }


def _cell(model: Model | None, gold: Model | None, measure: str, places: int) -> _Cell:
    if model is None:
        return _Cell("–")
    far, half, difference = "", "", model.minus(gold, measure)
    if difference is not None and model is not gold:
        half = f"± {difference.half:.{places}f}" if difference.half else ""
        far = signed(difference.mean, places) if difference.mean or half else "="
    return _Cell(number(model.mean(measure), places), far, half)


def _marks(model: Model | None, question: str) -> tuple[str, str]:
    """The audit's marks, and the word that they stand for; several words have none."""
    words = model.words(question) if model else []
    return marks(words), words[0] if len(set(words)) == 1 else "mixed" if words else "not audited"


def _panels(kind: str, measure: str, plots: Mapping[str, Any], found: Sequence[Case], spoken: Voice) -> list[_Panel]:
    panels = []
    for index, (adversary, plot) in enumerate(plots.items()):
        golds = [case.gold.mean(measure) for case in found if case.adversary == adversary and case.gold]
        gold = span(golds, spoken.value) if golds else ""
        panels.append(_Panel(f"{kind}-{index}", adversary, gold, json.loads(plot.to_json())))
    return panels


def _stills(results: Results, interactive: bool) -> list[dict[str, str]]:
    """Still figures: those that have no interactive panels."""
    shown = []
    for name, figure in every_figure(results.frame):
        kind = name.split("-")[0]
        if interactive and kind in ("stages", "forgetting"):
            continue
        buffer = io.BytesIO()
        save(figure, buffer, "svg")
        code = base64.b64encode(buffer.getvalue()).decode()
        width = int(120 * figure.get_figwidth())
        shown.append({"kind": kind, "name": name, "image": f"data:image/svg+xml;base64,{code}", "width": str(width)})
    return shown


def _pairs(twins: Sequence[TwinPair]) -> dict[str, list[dict[str, Any]]]:
    """Forgotten samples beside their twins, by adversary; what is no picture is left out."""
    shown: dict[str, list[dict[str, Any]]] = {}
    for pair in twins:
        images = [
            f"data:image/png;base64,{base64.b64encode(image).decode()}"
            for image in (pair.forgotten_image, pair.twin_image)
            if image is not None
        ]
        if len(images) == 2:
            shown.setdefault(pair.adversary, []).append({"of": pair, "images": images})
    return shown
