"""Record: what an audit found and what it rests on, as plain JSON: the content of ``verdict.json``, and of the page."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unscathed.audit import Verdict
from unscathed.audit.check import Outcome
from unscathed.lab.auditing.grounds import grounds
from unscathed.lab.auditing.models import forget_digest, weights_digest
from unscathed.lab.auditing.prepare import Prepared
from unscathed.lab.auditing.request import AuditRequest
from unscathed.lab.provenance import provenance
from unscathed.training import Trained

FORMAT = 1
BINS = 40
IDS = (
    "Ids are not written here: they may be personal data. The digest lets whoever holds the list of the forgotten show "
    "that it is this one; of ids that are easily guessed, a short list could be found by trying, so treat it with care."
)


def outcome_of(verdict: Verdict) -> Outcome:
    """One word for both questions: fail where either fails, pass where both pass."""
    both = {verdict.whole, verdict.forgotten}
    return "fail" if "fail" in both else "pass" if both == {"pass"} else "not enough evidence"


def make_record(
    request: AuditRequest, prepared: Prepared, verdict: Verdict, *, started: str, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Everything that the verdict and the page say.

    Args:
        request: what was asked.
        prepared: what it was answered with.
        verdict: what was found.
        started: when, in ISO 8601.
        seconds: wall time, by what was done.
    """
    sizes = {"trained on": prepared.trained_on, "forgotten": prepared.forgotten, "retained": prepared.retain}
    return {
        "format": FORMAT,
        "outcome": outcome_of(verdict),
        "title": request.model.name,
        "verdict": verdict.to_json(),
        "shares": prepared.task.scores_are_shares,
        "rests_on": grounds(request, prepared),
        "samples": {name: len(part) for name, part in sizes.items()}
        | {"test": len(prepared.test or ()), "unseen": len(prepared.unseen or ()), "unseen_are": prepared.unseen_are},
        "forget_set": {"count": len(prepared.forgotten), "digest": forget_digest(prepared.forgotten.ids), "ids": IDS},
        "models": {name: _model(model, prepared.forms[name]) for name, model in prepared.models.items()},
        "margins": margins(prepared),
        "settings": {
            "task": prepared.task.signature(),
            "recipe": None if prepared.recipe is None else prepared.recipe.to_json(),
            "tolerance": asdict(prepared.tolerance),
            "shadows": request.shadows,
            "attacks": list(request.attacks),
            "relearning": request.relearning,
            "seed": request.seed,
        },
        "provenance": {**_plain(provenance()), "command": command(request), "started": started, "seconds": {**seconds}},
    }


def margins(prepared: Prepared) -> dict[str, Any]:
    """How sure each model is of the forgotten and of unseen samples: counts in bins that all share, and medians."""
    unseen = prepared.unseen if prepared.unseen is not None else prepared.test
    parts = {"forgotten": prepared.forgotten, "unseen": unseen}
    found = {
        name: {part: model.evaluate(rows).margins.double() for part, rows in parts.items() if rows is not None}
        for name, model in prepared.models.items()
        if name in ("model", "gold", "original")
    }
    every = torch.cat([values for of in found.values() for values in of.values()])
    # A few values far out would leave all others a sliver; they count in the outermost bins.
    low, high = (float(end) for end in torch.quantile(_thinned(every), torch.tensor([0.005, 0.995]).double()))
    if not high > low:
        high = low + 1.0

    def counted(values: Tensor) -> dict[str, Any]:
        place = ((values - low) / (high - low) * BINS).long().clamp(0, BINS - 1)
        return {"counts": torch.bincount(place, minlength=BINS).tolist(), "median": float(values.median())}

    return {
        "low": low,
        "high": high,
        "models": {name: {part: counted(values) for part, values in of.items()} for name, of in found.items()},
    }


def command(request: AuditRequest, words: Sequence[str] | None = None) -> str:
    """The command line, in which ids have given way to how many they are.

    Args:
        request: what was asked.
        words: of the command line; by default this process's.
    """
    shown = list(sys.argv if words is None else words)
    if shown:
        shown[0] = Path(shown[0]).name
    if request.forget_file is not None:
        return " ".join(shown)
    hidden = f"({len(request.forget.split(','))} ids)"
    return " ".join(word.replace(request.forget, hidden) for word in shown)


def _model(model: Trained, form: Any) -> dict[str, Any]:
    return {
        "path": str(form.path),
        "record": form.form == "record",
        "digest": weights_digest(dict(model.weights)),
        "samples": len(model.ids) if form.form == "record" else None,
        "history": [
            {"kind": event.kind, "by": event.by, "samples": event.samples, "steps": event.steps}
            for event in model.history
        ],
    }


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    return {**found, "versions": json.loads(found["versions"])}


def _thinned(values: Tensor) -> Tensor:
    """At most 2²⁰ of them: torch's quantiles take no more than 2²⁴."""
    return values[:: max(1, len(values) >> 20)]
