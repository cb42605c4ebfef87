"""Run: train what is missing, audit, and write the verdict and the page."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unscathed.audit import PerSampleMembership, Verdict, audit
from unscathed.audit.check import Outcome
from unscathed.lab.auditing.prepare import ATTACKS, Prepared, prepare
from unscathed.lab.auditing.record import make_record, outcome_of
from unscathed.lab.auditing.request import AuditRequest
from unscathed.lab.extras import missing_extras
from unscathed.problems import BadInputError, Problems
from unscathed.training import Callback, Shadows, fit_shadows
from unscathed.training.checkpoint import write_atomically

PAGE = ("jinja2",)
"""What the page is made with."""


@dataclass(frozen=True)
class AuditOutcome:
    """What an audit found, and where it is written.

    Args:
        verdict: it.
        record: it, with all that it rests on, as plain JSON.
        json: the file of that.
        page: the same for people.
    """

    verdict: Verdict
    record: dict[str, Any]
    json: Path
    page: Path

    @property
    def outcome(self) -> Outcome:
        """Of both questions."""
        return outcome_of(self.verdict)


def audit_model(
    request: AuditRequest,
    *,
    callbacks: Sequence[Callback] = (),
    say: Callable[[str], None] = lambda _: None,
) -> AuditOutcome:
    """Audit a model made by anything; writes ``verdict.json`` and ``report.html``.

    Args:
        request: what is asked.
        callbacks: progress of shadow models.
        say: told what is done now.

    Raises:
        BadInputError: something is wrong or missing; all of it is named, before anything is trained.
    """
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    prepared = _prepared(request)
    seconds: dict[str, float] = {}
    measures = prepared.measures
    if request.shadows:
        say(f"{request.shadows} shadow models, kept in {request.shadows_folder}")
        before = time.perf_counter()
        shadows = _shadows(request, prepared, callbacks)
        attacks = [ATTACKS[name] for name in request.attacks]
        golds = prepared.golds
        measures = (*measures, *(PerSampleMembership(shadows=shadows, attack=a, golds=golds) for a in attacks))
        seconds["shadow models"] = time.perf_counter() - before
    say("auditing")
    verdict = audit(
        prepared.models["model"],
        forgotten=prepared.forgotten,
        test=prepared.test,
        gold=prepared.models.get("gold"),
        original=prepared.models.get("original"),
        unseen=prepared.unseen,
        retain=prepared.retain,
        tolerance=prepared.tolerance,
        measures=measures,
    )
    seconds["all"] = time.perf_counter() - clock
    record = make_record(request, prepared, verdict, started=started, seconds=seconds)
    found = AuditOutcome(verdict, record, request.out / "verdict.json", request.out / "report.html")
    write_atomically(found.json, json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False).encode())
    from unscathed.lab.report.audit_page import write_audit_page

    write_audit_page(record, found.page)
    return found


def _prepared(request: AuditRequest) -> Prepared:
    """Everything in hand, and a folder to write to; what is wrong with either is named together."""
    problems = Problems("cannot audit")
    problems.extend(missing_extras(PAGE))
    prepared = None
    try:
        prepared = prepare(request)
    except BadInputError as error:
        problems.extend(error.problems)
    place = request.out if request.out.exists() else next(p for p in request.out.absolute().parents if p.exists())
    problems.require(place.is_dir(), f"--out {request.out}: {place} is no folder")
    problems.raise_any()
    assert prepared is not None
    try:
        request.out.mkdir(parents=True, exist_ok=True)
        (request.out / ".writable").touch()
        (request.out / ".writable").unlink()
    except OSError as error:
        raise BadInputError(problems.what, [f"--out {request.out} may not be written to ({error.strerror})"]) from error
    return prepared


def _shadows(request: AuditRequest, prepared: Prepared, callbacks: Sequence[Callback]) -> Shadows:
    assert prepared.recipe is not None
    return fit_shadows(
        prepared.task,
        prepared.drawn_from,
        prepared.recipe,
        request.shadows,
        seed=request.seed,
        folder=request.shadows_folder,
        callbacks=callbacks,
    )
