"""Findings: is the forgotten gone, and was it the twins?"""

from __future__ import annotations

from unscathed.lab.report.cases import Case, Model
from unscathed.lab.report.teller import Paragraph, Teller, changes
from unscathed.lab.report.wording import counted, listed, signed, span, whole

MEMBERSHIP_MARGIN = 0.05
"""A membership AUC that is higher than the reference's by more than this is worth a word (the audit's tolerance)."""
SHOWN = 8
"""The most failures that are explained one by one."""


def forgetting(teller: Teller) -> Paragraph:
    """What the audit found, and why it failed those that it failed."""
    judged = teller.judged
    undecided = [one for one in judged if one.healed.forgotten == "not enough evidence"]
    blind = [one for one in undecided if one.original and one.original.forgotten not in (None, "fail")]
    unsure = [one for one in undecided if one not in blind]
    failed = [one for one in judged if one.healed.forgotten == "fail"]
    sentences = []
    if blind:
        sentences.append(
            f"In {len(blind)} of {teller.number(judged)} the audit cannot tell: it does not notice the "
            "original’s memory either, which never forgot, since gold knows these samples as well without having "
            "seen them."
        )
    if unsure:
        sizes = span((one.healed.forget_size for one in unsure), whole)
        sentences.append(
            f"In {len(unsure)} of {teller.number(judged)} evidence is lacking: a 95 % interval, from {sizes} "
            "forgotten samples, reaches beyond what is tolerated. That is neither a pass nor a fail."
        )
    if failed:
        sentences.append(f"{len(failed)} of {teller.number(judged)} failed:")
    elif judged:
        sentences.append("No model healed with retained data and twins failed.")
    seeds: dict[int, list[int]] = {}
    for one in failed:
        seeds.setdefault(teller.cases.index(one.case), []).append(one.healed.seed)
    explained = [_failure(teller, teller.cases[index], own) for index, own in seeds.items()]
    if len(explained) > SHOWN:
        left = len(explained) - SHOWN
        explained = [*explained[:SHOWN], (f"{left} more cases", "see the table of all cells.")]
    return Paragraph("Is the forgotten gone?", sentences, explained)


def _failure(teller: Teller, case: Case, seeds: list[int]) -> tuple[str, str]:
    """Why a healed model failed the audit on forgetting, as far as accuracies and areas tell, with these seeds."""
    about = f"{case.name}, {case.adversary}"
    if teller.several and case.both is not None:
        about += f" ({len(seeds)} of {len(case.both.rows)} seeds)"
    healed, reference, before = (m.only(seeds) if m else None for m in (case.both, case.reference, case.unlearned))
    if reference is None or healed is None:
        return about, "the healed model failed the audit on forgetting."
    if case.unseen_reference:
        return about, (
            "the healed model failed the audit on forgetting. It was compared with what this method's own retraining "
            "gives, not with gold."
        )
    voice = teller.voice
    ours, theirs = voice.value(healed.forget_accuracy), voice.value(reference.forget_accuracy)
    whose = "SISA’s own retraining" if case.sharded else "gold"
    exposed = healed.membership_auc > reference.membership_auc + MEMBERSHIP_MARGIN
    areas = f"membership AUC {healed.membership_auc:.3f}, {whose} {reference.membership_auc:.3f}"
    if healed.forget_accuracy > reference.forget_accuracy:
        still = "" if case.exact else "still "
        said = f"the healed model {still}{voice.answers(ours)} where {whose} has {theirs}"
    elif exposed:
        said = "the healed model gives away that it saw the forgotten"
    else:
        said = f"the healed model {voice.answers(ours, 'only ')} where {whose} has {theirs}"
        return about, f"{said}: worse than a model that never saw them, which singles them out as well."
    said += f" ({areas})" if exposed else ""
    if case.exact:
        return about, (
            f"{said}. Its unlearning is exact and healing did not use them either: the difference is what healing "
            "taught about samples like them."
        )
    start = f" Before healing it had {voice.value(before.forget_accuracy)}." if before else ""
    return about, f"{said}: it did not forget.{start}"


def twins(teller: Teller) -> Paragraph:
    """What twins added to healing without them."""
    gains = teller.gains
    if not gains:
        return Paragraph("Was it the twins?", [])
    equal = all(both.mean("steps") == control.mean("steps") for both, control in teller.pairs)
    mean = sum(gain.mean for gain in gains) / len(gains)
    average = f", {signed(mean, teller.voice.digits)} on average over {len(gains)} cases" if gains[1:] else ""
    sentences = [
        "The control is healing on retained data alone, "
        + ("for as many gradient steps." if equal else "though not always for as many gradient steps."),
        f"Against it, adding twins changed {teller.voice.test} by {teller.points(gains)}{average}.",
    ]
    sentences += _over_seeds(teller) if teller.several else _with_one_seed(teller)
    learned = changes(teller.pairs, "forget_accuracy")
    measured = "accuracy" if teller.voice.shares else "the score"
    sentences.append(f"On the forgotten samples, adding twins changed {measured} by {teller.points(learned)}.")
    return Paragraph("Was it the twins?", sentences)


def _over_seeds(teller: Teller) -> list[str]:
    """Several seeds: differences are paired by seed, and their intervals tell noise from more."""
    gains, tested = teller.gains, [gain for gain in teller.gains if gain.n > 1]
    up, down = ([gain for gain in tested if gain.certain and (gain.mean > 0) is way] for way in (True, False))
    said = [
        f"These are means over {listed(teller.seeds)}, paired by seed: the 95 % t interval leaves zero out in "
        f"{len(up) + len(down)} of {counted(gains, 'case')}, {len(up)} in the twins’ favour and {len(down)} against "
        f"them. Of so many intervals {0.05 * len(tested):.1f} would by chance alone."
    ]
    if not up and not down:
        said.append("So nothing here shows that the twins helped or harmed.")
    return said


def _with_one_seed(teller: Teller) -> list[str]:
    """One seed: the error of a test is all that there is to compare a difference with."""
    error, digits = teller.error, teller.voice.digits
    if error is None:
        return [f"This was {teller.how_many_seeds}: differences may be noise."]
    gains = [gain.mean for gain in teller.gains]
    far = [gain for gain in gains if abs(gain) > 2 * error]
    helped = sum(gain > 0 for gain in far)
    first = (
        f"With {teller.results.environment['test_samples']:,} test samples, the binomial standard error of such "
        f"an accuracy is {error / 2**0.5:.{digits}f} points, and of the difference of two up to {error:.{digits}f}."
    )
    if not far:
        return [
            first,
            f"No difference is larger than twice that, and this was {teller.how_many_seeds}: differences of this size "
            "may be noise, and nothing here shows that the twins helped or harmed.",
        ]
    return [
        first,
        f"Of {counted(gains, 'difference')}, {helped} in the twins’ favour and {len(far) - helped} against them "
        f"exceed twice that; the rest may be noise. This was {teller.how_many_seeds}.",
    ]


def twins_alone(teller: Teller) -> Paragraph:
    """What becomes of a model that is healed on nothing but twins."""
    alone, harmed, value = teller.alone, teller.harmed, teller.voice.value
    if not alone:
        return Paragraph("Twins alone", [])
    number = counted(alone, "case")
    sentences = [
        "Healing on twins alone, as one must where the training data is no longer at hand, changed "
        f"{teller.voice.test} by {teller.points(change for *_, change in alone)} from the unlearned model."
    ]
    if harmed:
        case, healed, before, _ = min(harmed, key=lambda found: found[3].mean)
        by = "the interval over seeds leaves zero out" if teller.several else "by more than two standard errors"
        sentences.append(
            f"They can be poison: in {len(harmed)} of {number} the model ended worse than before it was "
            f"healed, {by}; worst {case.name} {case.under}, from "
            f"{value(before.test_accuracy)} to {value(healed.test_accuracy)}."
        )
    taught = [case for case, healed, _, _ in alone if _more(healed, case.original)]
    if taught:
        sentences.append(f"In {len(taught)} of {number} it then {teller.voice.more_than_original}.")
    return Paragraph("Twins alone", sentences)


def _more(model: Model, original: Model | None) -> bool:
    change = model.minus(original, "forget_accuracy")
    return change is not None and change.mean > 0
