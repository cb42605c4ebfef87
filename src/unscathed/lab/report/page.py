"""The report: one page that shows and tells what an experiment measured."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unscathed.lab.report.cases import BOTH, CONTROL, TWINS, Case, by_adversary, cases
from unscathed.lab.report.provenance import lead, limits, made
from unscathed.lab.report.story import story
from unscathed.lab.report.wording import decimals, mark, percent, signed, span, times
from unscathed.lab.results import Results, Row, TwinPair
from unscathed.problems import Problems
from unscathed.training.checkpoint import write_atomically

TEMPLATE = "page.html.jinja"
EXTRAS = {"plotly": "plotly", "pillow": "PIL", "jinja2": "jinja2"}


def write_report(results: Results, path: Path) -> None:
    """Write ``report.html``: one page that needs nothing else, to be read by someone who was not there.

    Args:
        results: what was measured.
        path: of the page; it is replaced whole or not at all.

    Raises:
        BadInputError: what the page is made with is not installed.
    """
    problems = Problems("cannot write the report")
    problems.extend(missing_extras())
    problems.raise_any()
    write_atomically(path, _page(results).encode())


def missing_extras() -> list[str]:
    """What a report is made with and is not installed, a sentence each: to be asked before the work starts."""
    missing = [name for name, module in EXTRAS.items() if find_spec(module) is None]
    return [f"{name} is missing; pip install 'unscathed[lab]'" for name in missing]


def _page(results: Results) -> str:
    # The lab's extras: imported here, so that the lab's tables can be had without them.
    import jinja2
    from plotly.offline import get_plotlyjs

    from unscathed.lab.report import figures

    found, digits = cases(results), decimals(results)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unscathed.lab.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    accuracy, forgetting = figures.accuracy_figures(found, digits), figures.forgetting_figures(found, digits)
    groups = by_adversary(found)
    return environment.get_template(TEMPLATE).render(
        dataset=results.dataset,
        lead=lead(results),
        story=story(results),
        groups={adversary: [_line(case, digits) for case in group] for adversary, group in groups.items()},
        sisa=any(case.unlearner == "sisa" for case in found),
        plotly=get_plotlyjs(),
        accuracy=_panels("accuracy", "test_accuracy", accuracy, found, digits),
        forgetting=_panels("forgetting", "forget_accuracy", forgetting, found, digits),
        colours=figures.colours(found),
        pairs=_pairs(results.twins),
        notes=results.notes,
        limits=limits(results),
        made=made(results.environment),
    )


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


def _line(case: Case, digits: int) -> dict[str, Any]:
    """One line of the main table."""
    gold, both, price = case.gold, case.both, case.price()
    stages = [case.original, gold, case.unlearned, *map(case.healed.get, (BOTH, CONTROL, TWINS))]

    def cells(rows: Sequence[Row | None], measure: str, places: int) -> list[_Cell]:
        return [_cell(row, gold, measure, places) for row in rows]

    return {
        "name": case.name,
        "test": cells(stages, "test_accuracy", digits),
        "forgotten": cells(stages, "forget_accuracy", digits),
        "membership": cells([gold, case.unlearned, both], "membership_auc", 3),
        "price": ["–", "–"] if price is None else [times(part) for part in price],
        "marks": [(mark(outcome), outcome or "not audited") for outcome in (_whole(both), _gone(both))],
    }


def _cell(row: Row | None, gold: Row | None, measure: str, places: int) -> _Cell:
    if row is None:
        return _Cell("–")
    value, far = getattr(row, measure), ""
    if gold is not None and row is not gold:
        difference = value - getattr(gold, measure)
        far = signed(difference, places) if difference else "="
    return _Cell(f"{value:.{places}f}", far)


def _whole(row: Row | None) -> str | None:
    return row.whole if row else None


def _gone(row: Row | None) -> str | None:
    return row.forgotten if row else None


def _panels(kind: str, measure: str, plots: Mapping[str, Any], found: Sequence[Case], digits: int) -> list[_Panel]:
    panels = []
    for index, (adversary, plot) in enumerate(plots.items()):
        golds = [getattr(case.gold, measure) for case in found if case.adversary == adversary and case.gold]
        gold = span(golds, lambda value: percent(value, digits)) if golds else ""
        panels.append(_Panel(f"{kind}-{index}", adversary, gold, json.loads(plot.to_json())))
    return panels


def _pairs(twins: Sequence[TwinPair]) -> dict[str, list[dict[str, Any]]]:
    """Forgotten samples beside their twins, by adversary; what is no picture is left out."""
    shown: dict[str, list[dict[str, Any]]] = {}
    for pair in twins:
        images = [_image(pixels) for pixels in (pair.forgotten_image, pair.twin_image)]
        if all(images):
            shown.setdefault(pair.adversary, []).append({"of": pair, "images": images})
    return shown


def _image(pixels: npt.NDArray[np.uint8]) -> str | None:
    """A data URI of the pixels [channels, height, width] as PNG; None where they are no picture."""
    from PIL import Image

    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3, 4):
        return None
    buffer = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
