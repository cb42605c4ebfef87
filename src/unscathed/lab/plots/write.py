"""Write all plots of a results folder's measurements as files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from unscathed.lab.frames import SETTING, telling
from unscathed.lab.labels import Labels, parse
from unscathed.lab.plots.canvas import COLUMNS, LOOK
from unscathed.lab.plots.forgetting import forgetting
from unscathed.lab.plots.price import price
from unscathed.lab.plots.stages import stages
from unscathed.lab.plots.susceptibility import susceptibility
from unscathed.lab.statistics import Interval
from unscathed.problems import BadInputError

FORMATS = ("svg", "png")
PLOTS = {"stages": stages, "forgetting": forgetting, "price": price}


def plot(frame: pd.DataFrame, out: str | Path, *, interval: Interval = "t") -> list[Path]:
    """Write every figure that the measurements allow, as SVG and as PNG; returns the files.

    Args:
        frame: measurements, see `read`.
        out: a folder; it is made where it is missing.
        interval: over seeds.

    Raises:
        BadInputError: nothing can be drawn.
    """
    folder, written = Path(out), []
    for name, figure in figures(frame, interval=interval):
        folder.mkdir(parents=True, exist_ok=True)
        for kind in FORMATS:
            written.append(folder / f"{name}.{kind}")
            save(figure, written[-1])
    if not written:
        raise BadInputError("cannot draw any plot", ["neither accuracies nor scores were measured"])
    return written


def figures(frame: pd.DataFrame, *, interval: Interval = "t") -> Iterator[tuple[str, Figure]]:
    """Every figure that the measurements allow, with a name: those of each setting, and of each kind of adversary.

    Args:
        frame: measurements, see `read`.
        interval: over seeds.
    """
    for about, part in _parts(frame):
        with suppress(BadInputError):
            yield _name("susceptibility", *about), susceptibility(part, interval=interval)
        for kind, own in _kinds(part):
            for name, draw in PLOTS.items():
                with suppress(BadInputError):
                    yield _name(name, *about, kind), draw(own, interval=interval)


def save(figure: Figure, target: object, kind: str | None = None) -> None:
    """Write a figure; the same figure gives the same bytes."""
    with mpl.rc_context(LOOK):
        figure.savefig(target, format=kind, metadata={"Date": None} if str(kind or target).endswith("svg") else None)  # type: ignore[arg-type]


def _parts(frame: pd.DataFrame) -> Iterator[tuple[list[str], pd.DataFrame]]:
    """The measurements of each setting, with what tells it from the others."""
    apart = telling(frame, SETTING)
    names = {axis: Labels(axis, frame[axis].unique()) for axis in apart}
    if not apart:
        yield [], frame
        return
    for key, part in frame.groupby(apart, observed=True):
        yield [names[axis](value) for axis, value in zip(apart, key, strict=True)], part


def _kinds(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """All adversaries together, or where they are too many for a row, those of each kind."""
    if frame["adversary"].nunique() <= COLUMNS:
        yield "", frame
        return
    kinds = frame["adversary"].astype(str).map(lambda text: parse(text).title)
    for kind in kinds.unique():
        yield kind, frame[kinds == kind]


def _name(*parts: str) -> str:
    return "-".join(re.sub(r"[^a-z0-9.]+", "-", part.lower()).strip("-") for part in parts if part)
