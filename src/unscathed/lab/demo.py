"""The demo: a built-in experiment on the data set of the user's choice."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from unscathed.lab.components import KINDS
from unscathed.lab.experiment import Experiment
from unscathed.problems import Problems

ALIASES = {"blind": "oneclass"}
"""What the paper calls an adversary that has a name of its own here."""


def demo_experiment(
    dataset: str = "digits",
    data: str | Path | None = None,
    *,
    seed: int = 0,
    adversaries: Sequence[str] = (),
    unlearners: Sequence[str] = (),
) -> Experiment:
    """The experiment of ``experiments/demo.toml`` on a data set, with all or some of its adversaries and unlearners.

    Args:
        dataset: a data set's name, or an image folder.
        data: where its files are; by default where the data set looks for itself.
        seed: of everything.
        adversaries: names as a reader would write them (``"output-aware"``); none means all.
        unlearners: the same.

    Raises:
        BadInputError: names are unknown, or there is no such data set; all of it is named.
    """
    content = tomllib.loads(files("unscathed.lab").joinpath("experiments/demo.toml").read_text())
    problems = Problems("cannot run the demo")
    content["dataset"] = _dataset(dataset, data, problems)
    content["adversary"] = _some("adversary", content["adversary"], adversaries, problems)
    content["unlearner"] = _some("unlearner", content["unlearner"], unlearners, problems)
    problems.raise_any()
    return Experiment.from_dict({**content, "seeds": [seed]})


def _dataset(name: str, data: str | Path | None, problems: Problems) -> Any:
    if name in KINDS["dataset"]:
        return {name: {"path": str(data)}} if data is not None else name
    known = ", ".join(KINDS["dataset"])
    problems.require(Path(name).is_dir(), f"{name!r} is none of {known}, and there is no such folder of images")
    return {"image_folder": {"path": name}}


def _some(kind: str, entries: list[Any], wanted: Iterable[str], problems: Problems) -> list[Any]:
    known = {(e if isinstance(e, str) else next(iter(e))).lower(): e for e in entries}
    chosen = {}
    for name in wanted:
        plain = name.lower().replace("-", "").replace("_", "")
        found = ALIASES.get(plain, plain)
        if problems.require(found in known, f"unknown {kind} {name}{_hint(plain, known)}"):
            chosen[found] = known[found]
    return list(chosen.values()) or entries


def _hint(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; choose from {', '.join(known)}"
