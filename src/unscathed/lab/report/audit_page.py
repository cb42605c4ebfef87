"""The page of an audit: what was found, how sure that is, and what it rests on, for someone who must rely on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from unscathed.lab.report.audit_rows import CLASS, Json, Row, is_class, row_of, sharpest
from unscathed.lab.report.margins_picture import margins_pictures
from unscathed.lab.report.provenance import made
from unscathed.training.checkpoint import write_atomically

TEMPLATE = "audit.html.jinja"
CLASSES = 40
"""The most classes that are shown; those that fail always are, then those with the lowest scores."""
SPOKEN = {"model": "the model audited", "gold": "gold", "original": "the original"}
WORDS = {
    "pass": "The model passes: it is whole, and the data is gone, as far as these checks can see.",
    "fail": "The model fails.",
    "not enough evidence": "There is not enough evidence for a verdict.",
}


def write_audit_page(record: Json, path: Path) -> None:
    """Write one page that needs nothing else, to be read by someone who was not there; it is replaced whole or not.

    Args:
        record: the content of ``verdict.json``.
        path: of the page.
    """
    write_atomically(path, audit_page(record).encode())


def audit_page(record: Json) -> str:
    """The page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unscathed.lab.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    verdict = record["verdict"]
    classes = [check for check in verdict["utility"] if is_class(check)]
    shown = sorted(classes, key=lambda check: (check["outcome"] != "fail", check["value"]))[:CLASSES]
    whole = [check for check in verdict["utility"] if not is_class(check)]
    return environment.get_template(TEMPLATE).render(
        title=record["title"],
        record=record,
        verdict=verdict,
        outcome=record["outcome"],
        sentence=WORDS[record["outcome"]],
        reasons=_reasons(record),
        utility=[row_of(check, verdict["utility_reference"], asks="utility") for check in whole],
        forgetting=[row_of(c, verdict["forgetting_reference"], asks="forgetting") for c in verdict["forgetting"]],
        classes=[_class_row(c, verdict["utility_reference"]) for c in classes if c in shown],
        hidden=len(classes) - len(shown),
        sharpest=sharpest(verdict["forgetting"]),
        controls=[_control(control) for control in verdict["controls"]],
        with_twins=_with_twins(verdict["with_twins"]),
        margins=margins_pictures(record["margins"], SPOKEN),
        made=made(_made(record)),
        models=_models(record["models"]),
        golds=sum(name.split()[0] == "gold" for name in record["models"]),
    )


def _reasons(record: Json) -> list[str]:
    """Why the verdict is what it is, a sentence each."""
    verdict, said = record["verdict"], []
    for asks, outcome in (("utility", verdict["whole"]), ("forgetting", verdict["forgotten"])):
        reference = verdict[f"{asks}_reference"]
        checks = [check for check in verdict[asks] if check["judged"]]
        failing = [check for check in checks if check["outcome"] == "fail"]
        open_ = [check for check in checks if check["outcome"] == "not enough evidence"]
        if outcome == "fail":
            said += [_reason(row_of(check, reference, asks=asks), check, asks) for check in failing]
        elif outcome == "not enough evidence":
            missed = [c for c in verdict["controls"] if c["asks"] == asks and not c["noticed"]]
            if missed:
                names = " and ".join(control["name"] for control in missed)
                what = "the model is whole" if asks == "utility" else "the data is gone"
                said.append(f"Whether {what} is left open, since the checks let {names} through, which must fail them.")
            elif not checks:
                said.append("Whether the model is whole is left open: there are no test samples.")
            else:
                rows = [row_of(check, reference, asks=asks) for check in open_]
                said += [f"{_first(row.name)}: {row.difference} holds both answers." for row in rows if not _small(row)]
    return said


def _small(row: Row) -> bool:
    """Whether it is of one class, which alone decides nothing unless it fails."""
    return row.name.startswith(CLASS)


def _reason(row: Row, check: Json, asks: str) -> str:
    if asks == "utility":
        what = "the model is worse than it may be"
    else:
        above = check["highest"] is not None and check["low"] is not None and check["low"] > check["highest"]
        what = "the model still knows them" if above else "too far below, as suspicious as too far above"
    return f"{_first(row.name)}: {row.found}; {what}."


def _class_row(check: Json, reference: str) -> Row:
    return row_of({**check, "name": str(check["name"]).removeprefix("class ")}, reference, asks="utility")


def _control(control: Json) -> dict[str, Any]:
    """A control, and what failed it."""
    failing = [
        check for check in control["checks"] if check["judged"] and check["outcome"] == "fail" and not is_class(check)
    ] or [check for check in control["checks"] if check["judged"] and check["outcome"] == "fail"]
    return {
        "name": control["name"],
        "asks": "whole" if control["asks"] == "utility" else "forgotten",
        "noticed": control["noticed"],
        "by": [f"{check['name']} {row_of(check, '', asks=control['asks']).difference}" for check in failing[:3]],
    }


def _with_twins(verdict: Json | None) -> list[Row]:
    if verdict is None:
        return []
    return [
        row_of(check, verdict[f"{asks}_reference"], asks=asks)
        for asks in ("utility", "forgetting")
        for check in verdict[asks]
        if not is_class(check)
    ]


def is_like(name: str) -> bool:
    """Whether a model was only made the same way as the one audited."""
    return name.split()[0] == "like"


def _models(models: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The models, with what was done to each."""
    return [
        {
            "name": SPOKEN.get(name, f"made the same way{name.removeprefix('like')}" if is_like(name) else name),
            "path": model["path"],
            "digest": model["digest"],
            "history": [f"{e['kind']}{'' if e['kind'] == 'fitted' else ' by ' + e['by']}" for e in model["history"]]
            or ["weights without a record"],
        }
        for name, model in models.items()
    ]


def _made(record: Json) -> dict[str, Any]:
    """How it was made, for `provenance.made`."""
    came, settings, task = record["provenance"], record["settings"], record["settings"]["task"]
    recipe = {k: v for k, v in (settings["recipe"] or {}).items() if v not in (None, [])}
    return {
        "command": came["command"],
        "started": came["started"],
        "seconds": {name: f"{value:.1f}" for name, value in came["seconds"].items()},
        "task": f"{task['task']}, {task['model']} of {task['parameters']:,} parameters",
        "recipe": recipe,
        "tolerated": {name: value for name, value in settings["tolerance"].items() if value is not None},
        "seed": settings["seed"],
        **{name: came[name] for name in ("processor", "cores", "accelerator", "platform", "versions", "commit")},
    }


def _first(text: str) -> str:
    return text[:1].upper() + text[1:]
