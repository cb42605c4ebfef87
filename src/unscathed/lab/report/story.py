"""The story: what happened, in sentences that are made from the numbers and hold for any of them."""

from __future__ import annotations

from collections.abc import Sequence

from unscathed.lab.report.cases import Case, by_unlearner
from unscathed.lab.report.findings import forgetting, twins, twins_alone
from unscathed.lab.report.teller import Paragraph, Teller, changes
from unscathed.lab.report.wording import counted, span, tally, times, whole
from unscathed.lab.results import Results

KNOWLEDGE = {
    "random": "asks for samples at random, the harmless requester that every attack is compared with",
    "blind": "knows no model and concentrates on one class",
    "output-aware": "sees what the model answers and asks for the samples that it is least sure of",
    "parameter-aware": "sees the weights and asks for the samples whose removal should cost most on test samples",
}
SHOWN = 6
"""The most cases that are named in one sentence."""


def story(results: Results) -> list[Paragraph]:
    """What happened, a paragraph for each thing that a reader wants to know; what was not measured is left out.

    Args:
        results: what was measured.
    """
    teller = Teller(results)
    told = (
        in_short(teller),
        reserve(teller),
        adversaries(teller),
        utility(teller),
        forgetting(teller),
        twins(teller),
        twins_alone(teller),
        price(teller),
    )
    return [paragraph for paragraph in told if paragraph.sentences or paragraph.items]


def in_short(teller: Teller) -> Paragraph:
    """The answers to what most readers ask first."""
    if not teller.healed:
        return Paragraph("In short", [])
    good, gone = ([w for _, both in teller.healed for w in both.words(q)] for q in ("whole", "forgotten"))
    failed = [f"{case.name}, {case.adversary}" for case, both in teller.healed if "fail" in both.words("forgotten")]
    of = f" ({counted(teller.healed, 'case')}, {teller.how_many_seeds})" if teller.several else ""
    sentences = [
        f"Healed with retained data and twins, is the model whole, as good as gold? {tally(good)}{of}.",
        f"Is the data gone, as if never seen? {tally(gone)}.",
    ]
    if failed:
        more = f"; and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
        sentences.append(f"Failed on this: {'; '.join(failed[:SHOWN])}{more}.")
    if teller.gains:
        sentences.append(
            f"Over healing without them, twins changed {teller.voice.test} by "
            f"{teller.points(teller.gains)}{teller.size()}."
        )
    if teller.harmed:
        number = counted(teller.alone, "case")
        sentences.append(
            f"Healing on twins alone left the model worse than before in {len(teller.harmed)} of {number}."
        )
    return Paragraph("In short", sentences)


def reserve(teller: Teller) -> Paragraph:
    """What a reserve is, and how much of it was spent."""
    held, trained = (teller.results.environment.get(name) for name in ("reserve", "training_samples"))
    size, share = "some samples", ""
    if isinstance(held, int) and isinstance(trained, int) and held + trained > 0:
        size, share = f"{held:,} samples", f" ({100 * held / (held + trained):.0f} % of the training data)"
    sentences = [
        f"Before training, {size}{share} were held back: the reserve. The original never saw it. When samples must "
        "be forgotten, each can be replaced by its twin, the most similar spare of its class, as far as the "
        "reserve goes."
    ]
    spent = [
        case.original.mean("reserve_left") - both.mean("reserve_left") for case, both in teller.healed if case.original
    ]
    if spent:
        sentences.append(f"Healing with twins spent {span(spent, whole)} spares for a request.")
    refused = [both.mean("refused") for _, both in teller.healed]
    if any(refused):
        sentences.append(
            f"{span(refused, whole)} spares for a request were nearly a forgotten sample: such a twin would teach it "
            "again, and is refused."
        )
    return Paragraph("The reserve", sentences)


def adversaries(teller: Teller) -> Paragraph:
    """Who asked, and what that cost gold; those that differ in nothing but their budget together."""
    groups: dict[str, list[Case]] = {}
    for case in teller.cases:
        groups.setdefault(case.requester, []).append(case)
    items = []
    for requester, group in groups.items():
        labels = {case.adversary for case in group}
        said = [KNOWLEDGE[requester] + "."] if requester in KNOWLEDGE else []
        golds = [case.gold for case in group if case.gold]
        # SISA's original is an ensemble; what gold lost shows against the model that it is the retraining of.
        originals = [case.original for case in group if case.original and not case.sharded]
        if golds:
            value = teller.voice.value
            test, known = (span((getattr(g, m) for g in golds), value) for m in ("test_accuracy", "forget_accuracy"))
            if originals:
                test += f" (original {span((o.test_accuracy for o in originals), value)})"
                known += f" (original {span((o.forget_accuracy for o in originals), value)})"
            sizes = span((gold.mean("forget_size") for gold in golds), whole)
            right = teller.voice.right
            said.append(
                f"Gold, which never saw these {sizes} samples, {right(known, 'them')}, and "
                f"{right(test, 'the test samples').removeprefix('is right ')}."
            )
        items.append((labels.pop() if len(labels) == 1 else requester, " ".join(said)))
    return Paragraph("Who asked for deletion", [], items)


def utility(teller: Teller) -> Paragraph:
    """What unlearning cost each model, and how much of it healing gave back."""
    test = teller.voice.test
    moves = [change.mean for change in changes((both, case.unlearned) for case, both in teller.healed)]
    sentences = []
    if moves:
        up, down = sum(move > 0 for move in moves), sum(move < 0 for move in moves)
        sentences.append(
            f"Healing with retained data and twins raised {test} in {up} of {counted(moves, 'case')}, "
            f"lowered it in {down} and left it as it was in {len(moves) - up - down}."
        )
    items = []
    for name, group in by_unlearner(teller.cases).items():
        lost = changes((case.unlearned, case.original) for case in group)
        away = changes((case.both, case.gold) for case in group)
        parts = [f"unlearning changed {test} by {teller.points(lost)} from its original"] if lost else []
        parts += [f"healed, it is {teller.points(away)} from gold"] if away else []
        if parts:
            items.append((name, f"{'; '.join(parts)}.{_weaker_start(teller, group)}"))
    return Paragraph("What unlearning and healing did to the model", sentences, items)


def _weaker_start(teller: Teller, group: Sequence[Case]) -> str:
    """SISA pays before anything is forgotten; where the numbers show that, say it."""
    start = next((case.original.test_accuracy for case in group if case.original and case.sharded), None)
    one = next((case.original.test_accuracy for case in teller.cases if case.original and not case.sharded), None)
    if start is None or one is None or start >= one:
        return ""
    value = teller.voice.value
    return (
        f" Its original starts at {value(start)}, where one model on all data has {value(one)}: "
        "each shard learns from a part."
    )


def price(teller: Teller) -> Paragraph:
    """What it cost, over gold."""
    items = []
    for name, group in by_unlearner(teller.cases).items():
        prices = [price for case in group if (price := case.price()) is not None]
        if prices:
            steps, seconds = ([price[part] for price in prices] for part in (0, 1))
            items.append((name, f"{span(steps, times)} gold’s gradient steps, {span(seconds, times)} its time."))
    if not items:
        return Paragraph("What it cost", [])
    sentences = ["Unlearning and healing together; less than 1× is cheaper than retraining."]
    shortest = min(case.gold.mean("seconds") for case in teller.cases if case.gold and case.price())
    if shortest < 10:
        sentences.append(f"Retraining took as little as {shortest:.1f} s here; at such a size, times say little.")
    return Paragraph("What it cost", sentences, items)
