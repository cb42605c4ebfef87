"""The audit: measures of a model's utility and forgetting, each a difference from gold, or from what stands for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from unscathed.audit.case import Case
from unscathed.audit.check import Check
from unscathed.audit.controls import ORIGINAL, Control, Controls
from unscathed.audit.measure import Measure, Question
from unscathed.audit.population_membership import PopulationMembership
from unscathed.audit.score_on_forgotten import ScoreOnForgotten
from unscathed.audit.tolerance import Tolerance
from unscathed.audit.utility import Utility
from unscathed.audit.verdict import Verdict
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Trained

MEASURES: tuple[Measure, ...] = (Utility(details=False), ScoreOnForgotten(), PopulationMembership())
"""What an audit looks at by default: what takes no training."""


def audit(
    trained: Trained,
    *,
    forgotten: Samples,
    test: Samples | None = None,
    gold: Trained | None = None,
    same_procedure: Trained | None = None,
    original: Trained | None = None,
    unseen: Samples | None = None,
    retain: Samples | None = None,
    tolerance: Tolerance | None = None,
    measures: Sequence[Measure] | None = None,
    gold_with_twins: Trained | None = None,
    controls: bool | Controls = True,
) -> Verdict:
    """Is the model whole, and is the data gone?

    With gold, the model retrained without the forgotten, both questions are comparisons with it. Without, utility
    is compared with the original's, and the forgotten are compared with samples that the model has never seen.

    Args:
        trained: the model audited.
        forgotten: the samples that it should have forgotten.
        test: held-out samples for utility and (with gold) as unseen samples; None leaves utility unjudged.
        gold: the model retrained without them.
        same_procedure: what the model's own way of training gives without the forgotten, where that way differs from
            gold's: SISA's shards know less of hard samples than gold does, and that is no sign of anything. Forgetting
            is then compared with it.
        original: the model before unlearning: the control. Where the checks do not find *its* memory of the forgotten,
            no model passes them. Without gold it is also what utility is compared with.
        unseen: samples that the model was never trained on, a fair sample of the same data; needed where there is no
            gold. Spares that matching has left over are less typical than the forgotten: once a quarter of a reserve
            is spent, gold itself may fail beside them (measured: `docs/audits.md`).
        retain: the training samples that stay; some measures train on them.
        tolerance: what passes.
        measures: what is looked at, by default `MEASURES`: scores on test samples and on the forgotten, and a
            population attack on membership.
        gold_with_twins: the model retrained without the forgotten and with the twins, which is what healing aims at.
            The verdict tells how far the model is from it too; the law speaks of gold, and that decides.
        controls: models that must not pass, or no other does. True is for `Controls()`, those that take no training;
            with False not even the original is one.

    Raises:
        BadInputError: something that the comparison needs is missing; all of it is named.
    """
    measures = MEASURES if measures is None else tuple(measures)
    never = unseen if unseen is not None else test if gold is not None else None
    case = Case(
        task=trained.task,
        forgotten=forgotten,
        unseen=never if never is not None else forgotten.only([]),
        test=test,
        retain=retain,
        gold=gold,
        peer=same_procedure or gold,
        original=original,
        tolerance=tolerance if tolerance is not None else Tolerance(),
    )
    controls = Controls() if controls is True else controls
    problems = Problems("cannot audit")
    problems.require(len(forgotten) > 0, "there are no forgotten samples")
    golds = {"gold": gold, "same_procedure": same_procedure, "gold_with_twins": gold_with_twins}
    for name, model in golds.items():
        inside = set(model.ids) & set(forgotten.ids) if model is not None else set()
        problems.require(not inside, f"{name} was trained on {len(inside)} of the forgotten: it is not gold")
    if unseen is not None:
        for name, model in {"the model": trained, "the original": original, **golds}.items():
            known = set(model.ids) & set(unseen.ids) if model is not None else set()
            problems.require(not known, f"{len(known)} of the unseen samples were trained on by {name}; leave them out")
    # Measures may miss the same thing, which is named once.
    problems.extend(dict.fromkeys(problem for measure in measures for problem in measure.problems_with(case)))
    if controls:
        problems.extend(controls.problems_with(case))
    problems.raise_any()

    tried = tuple(_try(controls, measures, trained, case)) if controls else ()
    return Verdict(
        utility=_ask("utility", measures, trained, case),
        forgetting=_beside_memory(_ask("forgetting", measures, trained, case), tried),
        utility_reference="the original" if gold is None else "gold",
        forgetting_reference=(
            "unseen samples" if case.peer is None else "gold" if same_procedure is None else "its own retraining"
        ),
        controls=tried,
        with_twins=None if gold_with_twins is None else _beside(gold_with_twins, measures, trained, case),
        note=""
        if gold is not None
        else f"There is no gold here: the verdict rests on {len(case.unseen)} samples that the model has never seen, "
        "and on the original's utility.",
    )


def _try(controls: Controls, measures: Sequence[Measure], trained: Trained, case: Case) -> Iterator[Control]:
    """The controls, and what the measures find of each; those whose question no measure asks are left out."""
    for name, question, model in controls.models(trained, case):
        checks = _ask(question, measures, model, case)
        if checks:
            yield Control(name, question, checks)


def _beside(gold: Trained, measures: Sequence[Measure], trained: Trained, case: Case) -> Verdict:
    """What the same audit says with another gold, by the measures that need nothing else for it."""
    case = replace(case, gold=gold, peer=gold)
    able = [measure for measure in measures if not measure.problems_with(case)]
    return Verdict(
        utility=_ask("utility", able, trained, case),
        forgetting=_ask("forgetting", able, trained, case),
        utility_reference="gold with twins",
        forgetting_reference="gold with twins",
    )


def _beside_memory(checks: tuple[Check, ...], controls: tuple[Control, ...]) -> tuple[Check, ...]:
    """The checks, each with what the original shows on it, where that was tried."""
    for control in controls:
        if control.name == ORIGINAL:
            return tuple(replace(c, memory=of.of.difference) for c, of in zip(checks, control.checks, strict=True))
    return checks


def _ask(question: Question, measures: Sequence[Measure], model: Trained, case: Case) -> tuple[Check, ...]:
    """All checks of a model on one question, in the order of the measures."""
    return tuple(
        replace(check, weak=measure.weak)
        for measure in measures
        if measure.asks == question
        for check in measure.checks(model, case)
    )
