"""Prepare: everything that an audit needs in hand, or all that is wrong with it named, before any work."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from unscathed.audit import (
    Attack,
    Case,
    Lira,
    Margins,
    Measure,
    PopulationMembership,
    Relearning,
    Rmia,
    ScoreOnForgotten,
    Tolerance,
    Utility,
)
from unscathed.audit.non_members import is_fair
from unscathed.lab.auditing.models import Named, bare, named
from unscathed.lab.auditing.reading import Material, read_ids, read_material, read_recipe, read_tolerance
from unscathed.lab.auditing.request import AuditRequest
from unscathed.problems import BadInputError, Problems, some
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training import Recipe, State, Trained, check_fit

ATTACKS: dict[str, Attack] = {"rmia": Rmia(online=False), "lira": Lira(online=False)}
"""Sample by sample, by the names that a person gives."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """An audit with everything in hand.

    Args:
        task: what the models are for.
        models: ``"model"``, and ``"gold"``, ``"gold 2"`` …, ``"original"`` … and ``"like"`` … where they are given.
        forms: of each, see `Named`.
        trained_on: what the original was trained on.
        forgotten: of these, what should have been forgotten.
        test: held out.
        unseen: what no model here was trained on.
        unseen_are: what these are, in words.
        drawn_from: what shadow models are trained on halves of. It does not depend on the model audited, so that audits
            of other models can share them.
        recipe: of training; None where nothing says it.
        tolerance: what passes.
        measures: what is looked at, but for what takes shadow models.
    """

    task: Task
    models: dict[str, Trained]
    forms: dict[str, Named]
    trained_on: Samples
    forgotten: Samples
    test: Samples | None
    unseen: Samples | None
    unseen_are: str
    drawn_from: Samples
    recipe: Recipe | None
    tolerance: Tolerance
    measures: tuple[Measure, ...]

    @property
    def golds(self) -> tuple[Trained, ...]:
        """All golds, the one that differences are from first."""
        return _all("gold", self.models)

    @property
    def retain(self) -> Samples:
        """What the model may know."""
        return self.trained_on.without(self.forgotten.ids)


def prepare(request: AuditRequest) -> Prepared:
    """Read everything.

    Raises:
        BadInputError: something is wrong or missing; all of it is named.
    """
    problems = Problems("cannot audit")
    forms = _forms(request, problems)
    material = read_material(request, problems)
    forget = read_ids(request, problems)
    recipe = None if request.recipe is None else read_recipe(request.recipe, problems)
    tolerance = read_tolerance(request.tolerance, problems)
    strange = [name for name in request.attack if name not in ATTACKS]
    problems.require(not strange, f"--attack {', '.join(strange)}: give {' or '.join(ATTACKS)}")
    problems.require(
        not request.attack or bool(request.shadows),
        "--attack asks shadow models, and there are none: give --shadows 16",
    )
    problems.require(
        len(request.original) < 2 or bool(request.like), "several --original are for --like alone; give one, or --like"
    )
    even = request.shadows >= 0 and request.shadows % 2 == 0
    problems.require(even, f"--shadows {request.shadows} must be an even number (each two share no sample)")
    read: dict[str, Trained | State] = {}
    if material.task is not None:
        found = {name: model.read(material.task, problems) for name, model in forms.items()}
        read = {name: model for name, model in found.items() if model is not None}
    for name, gold in read.items():
        inside = len({*gold.ids} & {*forget}) if is_gold(name) and isinstance(gold, Trained) else 0
        problems.require(not inside, f"--{name} was trained on {inside} of the forgotten: it is not gold")
    if material.pool is not None:
        # One unknown word may be a file that is not there.
        no_file = " (nor is there a file of that name)" if request.forget_file is None and len(forget) == 1 else ""
        problems.extend(f"--forget: {problem}{no_file}" for problem in material.pool.problems_with(forget))
    if material.task is None or material.pool is None or len(read) < len(forms) or "model" not in forms:
        problems.raise_any()
    assert material.task is not None
    assert material.pool is not None

    records = {name: model for name, model in read.items() if isinstance(model, Trained)}
    recipe = recipe or next(
        (records[name].recipe for name in ("original", "gold", "model") if name in records), material.recipe
    )
    training = [f"--{name}" for name in ("shadows", "relearning") if getattr(request, name)]
    problems.require(
        recipe is not None or not training,
        f"{' and '.join(training)} train models, and nothing says how: no model has a record, and the task is no data "
        "set's own; give --recipe as JSON",
    )
    trained_on = _trained_on(request, material, records, forget, problems)
    never = sorted({*forget} & {*material.pool.ids} - {*trained_on.ids})
    problems.require(not never, f"--forget: the original was never trained on {len(never)} of these ({some(never)})")
    if trained_on.problems_with(forget) or not forget:
        problems.raise_any()
    forgotten = trained_on.only(forget)
    models = _models(material.task, read, recipe or Recipe(), trained_on, forgotten)
    unseen, unseen_are = _unseen(material, models, records, trained_on, problems)
    _check_samples(material.task, {"samples": trained_on, "test": material.test, "unseen": unseen}, problems)
    measures: tuple[Measure, ...] = (Utility(), ScoreOnForgotten(), PopulationMembership())
    if request.relearning:
        measures = (*measures, Relearning(golds=_all("gold", models)[1:], seed=request.seed))
    if request.like:
        same = (models["model"], *_all("like", models))
        measures = (*measures, Margins(models=same, golds=_all("gold", models), originals=_all("original", models)))
    prepared = Prepared(
        task=material.task,
        models=models,
        forms=forms,
        trained_on=trained_on,
        forgotten=forgotten,
        test=material.test,
        unseen=unseen,
        unseen_are=unseen_are,
        drawn_from=_drawn_from(material.pool, material.unseen or material.test),
        recipe=recipe,
        tolerance=tolerance,
        measures=measures,
    )
    problems.extend(_problems_with(prepared))
    problems.raise_any()
    return prepared


def _all(kind: str, models: dict[str, Trained]) -> tuple[Trained, ...]:
    """All models of a kind: ``"gold"``, ``"original"`` or ``"like"``."""
    return tuple(model for name, model in models.items() if name.split()[0] == kind)


def is_gold(name: str) -> bool:
    """Whether a model is called gold, of whichever seed."""
    return name.split()[0] == "gold"


def _forms(request: AuditRequest, problems: Problems) -> dict[str, Named]:
    paths = {"model": request.model}
    for kind, given in (("gold", request.gold), ("original", request.original), ("like", request.like)):
        paths |= {kind if number == 1 else f"{kind} {number}": path for number, path in enumerate(given, start=1)}
    for kind, given in (
        ("gold", request.gold),
        ("original", request.original),
        ("like", (request.model, *request.like)),
    ):
        apart = len({path.absolute() for path in given})
        problems.require(
            apart == len(given), f"--{kind} names one model more than once; give others, each from a seed of its own"
        )
    spoken = {"model": "MODEL"}
    found = {name: named(spoken.get(name, f"--{name}"), path, problems) for name, path in paths.items()}
    return {name: form for name, form in found.items() if form is not None}


def _trained_on(
    request: AuditRequest,
    material: Material,
    records: dict[str, Trained],
    forget: tuple[str, ...],
    problems: Problems,
) -> Samples:
    """What the original was trained on: what a record says, else what a split leaves, else all samples."""
    pool = material.pool
    assert pool is not None
    known = set(pool.ids)

    def healed(of: str) -> bool:  # on twins, perhaps, that are not here
        return of.split()[0] in ("model", "like")

    strangers = {of: set(record.ids) - known for of, record in records.items() if not healed(of)}
    for of, ids in strangers.items():
        problems.require(
            not ids,
            f"--{of} was trained on {len(ids)} samples that are not here ({some(sorted(ids), 3)}): these are not "
            "its training samples, or their ids are others",
        )
    if "model" in records and not known & set(records["model"].ids):
        problems.require(False, "MODEL was trained on none of these samples, or their ids are others")
    held_back = None
    if request.reserve is not None:
        whole = request.reserve >= 1
        try:
            retain, held_back = pool.split(
                reserve=int(request.reserve) if whole else request.reserve, seed=request.seed
            )
        except BadInputError as error:
            problems.extend(f"--reserve: {problem}" for problem in error.problems)
    for name in ("original", "gold", "model"):
        if name not in records:
            continue
        # Twins that the model was healed with count too, where only its own record tells: they stay as well.
        ids = set(records[name].ids) | (set() if name == "original" else set(forget))
        if held_back is not None and name == "original":
            inside = ids & set(held_back.ids)
            problems.require(
                not inside,
                f"--original was trained on {len(inside)} of the samples that --reserve {request.reserve:g} "
                f"--seed {request.seed} holds back; its record says what it was trained on: leave --reserve out",
            )
        return pool.only(i for i in pool.ids if i in ids)
    return pool if held_back is None else retain


def _models(
    task: Task, read: dict[str, Trained | State], recipe: Recipe, trained_on: Samples, forgotten: Samples
) -> dict[str, Trained]:
    """All models, those without a record with what they are said to be trained on."""
    retained = trained_on.without(forgotten.ids).ids
    return {
        name: model
        if isinstance(model, Trained)
        else bare(task, model, recipe, trained_on.ids if name.split()[0] == "original" else retained)
        for name, model in read.items()
    }


def _unseen(
    material: Material,
    models: dict[str, Trained],
    records: dict[str, Trained],
    trained_on: Samples,
    problems: Problems,
) -> tuple[Samples | None, str]:
    """Samples that no model here was trained on: those given apart, else spares; with gold test samples too.

    Where many spares were trained on, those were like the forgotten, and what is left is not: test samples then.
    """
    seen = set(trained_on.ids).union(*(model.ids for model in records.values()))
    if material.unseen is not None:
        left = material.unseen.without(i for i in material.unseen.ids if i in seen)
        problems.require(len(left) > 0, "--unseen: models here were trained on all of these")
        return left, "unseen samples"
    assert material.pool is not None
    spares = material.pool.only(i for i in material.pool.ids if i not in seen)
    # An exact copy of a training sample among the test samples may bear its id.
    test = material.test and material.test.without(i for i in material.test.ids if i in seen)
    matched = len(set(material.pool.ids) - set(trained_on.ids) - set(spares.ids))
    if not len(spares) or (test and not is_fair(len(spares), matched)):
        return test, "test samples"
    if not test or "gold" not in models or set(test.ids) & set(spares.ids):
        return spares, "spares"
    # With gold, both models are asked about the same samples, so that it does not matter where these come from.
    return spares + test, "spares and test samples"


def _drawn_from(pool: Samples, further: Samples | None) -> Samples:
    """All that may be asked about, so that each sample is outside of as many shadow models as any other."""
    if further is None:
        return pool
    known = set(pool.ids)
    new = further.without(i for i in further.ids if i in known)
    return pool + new if len(new) else pool


def _check_samples(task: Task, parts: dict[str, Samples | None], problems: Problems) -> None:
    for name, part in parts.items():
        if part is None or not len(part):
            continue
        try:
            check_fit(task, part)
        except BadInputError as error:
            problems.extend(f"--{name}: {problem}" for problem in error.problems)


def _problems_with(prepared: Prepared) -> list[str]:
    """What the measures lack, and what is no gold, before shadow models are trained."""
    found = []
    gold, forgotten, unseen = prepared.models.get("gold"), prepared.forgotten, prepared.unseen
    case = Case(
        task=prepared.task,
        forgotten=forgotten,
        unseen=unseen if unseen is not None else forgotten.only([]),
        test=prepared.test,
        retain=prepared.retain,
        gold=gold,
        peer=gold,
        original=prepared.models.get("original"),
        tolerance=prepared.tolerance,
    )
    lacking = [problem for measure in prepared.measures for problem in measure.problems_with(case)]
    # The measures speak to Python; the command line has dashes.
    found += [re.sub(r"(\w+)=…", r"--\1", problem) for problem in dict.fromkeys(lacking)]
    labels = [None if part is None else prepared.task.labels(part.targets) for part in (forgotten, unseen)]
    ours, theirs = labels
    if ours is not None and theirs is not None and not bool(torch.isin(theirs, ours).any()):
        found.append("no unseen sample is of a forgotten sample's class; give others by --unseen")
    return found
