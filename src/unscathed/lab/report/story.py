"""The story: what happened, in sentences that are made from the numbers and hold for any of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from unscathed.lab.report.cases import Case, by_adversary, by_unlearner, cases
from unscathed.lab.report.noise import beyond, error_of_difference
from unscathed.lab.report.wording import counted, decimals, percent, signed, span, tally, times
from unscathed.lab.results import Results, Row

MEMBERSHIP_MARGIN = 0.05
"""A membership AUC that is higher than the reference's by more than this is worth a word (the audit's tolerance)."""
KNOWLEDGE = {
    "random": "asks for samples at random, the harmless requester that every attack is compared with",
    "blind": "knows no model and concentrates on one class",
    "output-aware": "sees what the model answers and asks for the samples that it is least sure of",
    "parameter-aware": "sees the weights and asks for the samples whose removal should cost most on test samples",
}


@dataclass(frozen=True)
class Paragraph:
    """Something that a reader wants to know.

    Args:
        heading: the question, or what it is about.
        sentences: the answer.
        items: its particulars, each with what it is about.
    """

    heading: str
    sentences: list[str]
    items: list[tuple[str, str]] = field(default_factory=list)


def story(results: Results) -> list[Paragraph]:
    """What happened, a paragraph for each thing that a reader wants to know; what was not measured is left out.

    Args:
        results: what was measured.
    """
    teller = _Teller(results)
    told = (
        teller.in_short(),
        teller.reserve(),
        teller.adversaries(),
        teller.utility(),
        teller.forgetting(),
        teller.twins(),
        teller.twins_alone(),
        teller.price(),
    )
    return [paragraph for paragraph in told if paragraph.sentences or paragraph.items]


class _Teller:
    def __init__(self, results: Results) -> None:
        self.results = results
        self.digits = decimals(results)
        self.cases = cases(results)
        self.healed = [(case, case.both) for case in self.cases if case.both is not None]
        self.pairs = [(both, case.control) for case, both in self.healed if case.control is not None]
        self.gains = [_change(both, control) for both, control in self.pairs]
        self.error = error_of_difference(results, (row for pair in self.pairs for row in pair))
        self.alone = [(c, c.twins_only, c.unlearned) for c in self.cases if c.twins_only and c.unlearned]
        error = error_of_difference(results, (row for _, *rows in self.alone for row in rows))
        self.harmed = [found for found in self.alone if error is not None and _change(*found[1:]) < -2 * error]
        seeds = {row.seed for row in results.rows}
        self.seeds = "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"

    def in_short(self) -> Paragraph:
        if not self.healed:
            return Paragraph("In short", [])
        whole, forgotten = ([getattr(both, part) for _, both in self.healed] for part in ("whole", "forgotten"))
        failed = [f"{case.name}, {case.adversary}" for case, both in self.healed if both.forgotten == "fail"]
        sentences = [
            f"Healed with retained data and twins, is the model whole, as good as gold? {tally(whole)}.",
            f"Is the data gone, as if never seen? {tally(forgotten)}.",
        ]
        if failed:
            sentences.append(f"Failed on this: {'; '.join(failed)}.")
        if self.gains:
            size = ""
            if self.error is not None:
                far = beyond(self.gains, self.error)
                size = f", {f'{far} of {len(self.gains)} times' if far else 'never'} by more than two standard errors"
            sentences.append(
                f"Over healing without them, twins changed test accuracy by {self._points(self.gains)}{size}."
            )
        if self.harmed:
            number = counted(self.alone, "case")
            sentences.append(
                f"Healing on twins alone left the model worse than before in {len(self.harmed)} of {number}."
            )
        return Paragraph("In short", sentences)

    def reserve(self) -> Paragraph:
        held, trained = (self.results.environment.get(name) for name in ("reserve", "training_samples"))
        size, share = "some samples", ""
        if isinstance(held, int) and isinstance(trained, int) and held + trained > 0:
            size, share = f"{held:,} samples", f" ({100 * held / (held + trained):.0f} % of the training data)"
        sentences = [
            f"Before training, {size}{share} were held back: the reserve. The original never saw it. When samples must "
            "be forgotten, each can be replaced by its twin, the most similar spare of its class, as far as the "
            "reserve goes."
        ]
        spent = [case.original.reserve_left - both.reserve_left for case, both in self.healed if case.original]
        if spent:
            sentences.append(f"Healing with twins spent {span(spent, lambda n: f'{n:,.0f}')} spares for a request.")
        return Paragraph("The reserve", sentences)

    def adversaries(self) -> Paragraph:
        items = []
        for adversary, group in by_adversary(self.cases).items():
            said = [KNOWLEDGE[adversary] + "."] if adversary in KNOWLEDGE else []
            gold = next((case.gold for case in group if case.gold), None)
            # SISA's original is an ensemble; what gold lost shows against the model that it is the retraining of.
            original = next((case.original for case in group if case.original and case.unlearner != "sisa"), None)
            if gold is not None:
                test, known = self._percent(gold.test_accuracy), self._percent(gold.forget_accuracy)
                if original is not None:
                    test += f" (original {self._percent(original.test_accuracy)})"
                    known += f" (original {self._percent(original.forget_accuracy)})"
                said.append(
                    f"Gold, which never saw these {gold.forget_size:,} samples, is right on {known} of them, and on "
                    f"{test} of the test samples."
                )
            items.append((adversary, " ".join(said)))
        return Paragraph("Who asked for deletion", [], items)

    def utility(self) -> Paragraph:
        moves = [_change(both, case.unlearned) for case, both in self.healed if case.unlearned]
        sentences = []
        if moves:
            up, down = sum(move > 0 for move in moves), sum(move < 0 for move in moves)
            sentences.append(
                f"Healing with retained data and twins raised test accuracy in {up} of {counted(moves, 'case')}, "
                f"lowered it in {down} and left it as it was in {len(moves) - up - down}."
            )
        items = []
        for name, group in by_unlearner(self.cases).items():
            lost = [_change(c.unlearned, c.original) for c in group if c.unlearned and c.original]
            away = [_change(c.both, c.gold) for c in group if c.both and c.gold]
            parts = [f"unlearning changed test accuracy by {self._points(lost)} from its original"] if lost else []
            parts += [f"healed, it is {self._points(away)} from gold"] if away else []
            if parts:
                items.append((name, f"{'; '.join(parts)}.{self._weaker_start(group)}"))
        return Paragraph("What unlearning and healing did to the model", sentences, items)

    def _weaker_start(self, group: Sequence[Case]) -> str:
        """SISA pays before anything is forgotten; where the numbers show that, say it."""
        start = next((c.original.test_accuracy for c in group if c.original and c.unlearner == "sisa"), None)
        one = next((c.original.test_accuracy for c in self.cases if c.original and c.unlearner != "sisa"), None)
        if start is None or one is None or start >= one:
            return ""
        return (
            f" Its original starts at {self._percent(start)}, where one model on all data has {self._percent(one)}: "
            "each shard learns from a part."
        )

    def forgetting(self) -> Paragraph:
        judged = [both for _, both in self.healed if both.forgotten is not None]
        undecided = [(case, both) for case, both in self.healed if both.forgotten == "not enough evidence"]
        blind = [both for case, both in undecided if case.original and case.original.forgotten not in (None, "fail")]
        unsure = [both for _, both in undecided if both not in blind]
        failed = [self._failure(case, both) for case, both in self.healed if both.forgotten == "fail"]
        sentences = []
        if blind:
            sentences.append(
                f"In {len(blind)} of {counted(judged, 'case')} the audit cannot tell: it does not notice the "
                "original’s memory either, which never forgot, since gold knows these samples as well without having "
                "seen them."
            )
        if unsure:
            sizes = span((both.forget_size for both in unsure), lambda n: f"{n:,.0f}")
            sentences.append(
                f"In {len(unsure)} of {counted(judged, 'case')} evidence is lacking: a 95 % interval, from {sizes} "
                "forgotten samples, reaches beyond what is tolerated. That is neither a pass nor a fail."
            )
        if failed:
            sentences.append(f"{len(failed)} of {counted(judged, 'case')} failed:")
        elif judged:
            sentences.append("No model healed with retained data and twins failed.")
        return Paragraph("Is the forgotten gone?", sentences, failed)

    def _failure(self, case: Case, healed: Row) -> tuple[str, str]:
        """Why a healed model failed the audit on forgetting, as far as accuracies and areas tell."""
        about, reference = f"{case.name}, {case.adversary}", case.reference
        if reference is None:
            return about, "the healed model failed the audit on forgetting."
        ours, theirs = self._percent(healed.forget_accuracy), self._percent(reference.forget_accuracy)
        whose = "SISA’s own retraining" if case.unlearner == "sisa" else "gold"
        exposed = healed.membership_auc > reference.membership_auc + MEMBERSHIP_MARGIN
        areas = f"membership AUC {healed.membership_auc:.3f}, {whose} {reference.membership_auc:.3f}"
        if healed.forget_accuracy > reference.forget_accuracy:
            still = "" if case.exact else "still "
            said = f"the healed model {still}answers {ours} of the forgotten right where {whose} has {theirs}"
        elif exposed:
            said = "the healed model gives away that it saw the forgotten"
        else:
            said = f"the healed model answers only {ours} of the forgotten right where {whose} has {theirs}"
            return about, f"{said}: worse than a model that never saw them, which singles them out as well."
        said += f" ({areas})" if exposed else ""
        if case.exact:
            return about, (
                f"{said}. Its unlearning is exact and healing did not use them either: the difference is what healing "
                "taught about samples like them."
            )
        before = self._percent(case.unlearned.forget_accuracy) if case.unlearned else None
        return about, f"{said}: it did not forget.{f' Before healing it had {before}.' if before else ''}"

    def twins(self) -> Paragraph:
        if not self.pairs:
            return Paragraph("Was it the twins?", [])
        gains, error = self.gains, self.error
        equal = all(both.steps == control.steps for both, control in self.pairs)
        average = f", {signed(sum(gains) / len(gains), self.digits)} on average over {len(gains)} cases"
        sentences = [
            "The control is healing on retained data alone, "
            + ("for as many gradient steps." if equal else "though not always for as many gradient steps."),
            f"Against it, adding twins changed test accuracy by {self._points(gains)}{average if gains[1:] else ''}.",
        ]
        if error is None:
            sentences.append(f"This was {self.seeds}: differences may be noise.")
        else:
            sentences += [
                f"With {self.results.environment['test_samples']:,} test samples, the binomial standard error of such "
                f"an accuracy is {error / 2**0.5:.{self.digits}f} points, and of the difference of two up to "
                f"{error:.{self.digits}f}.",
                self._noise(error),
            ]
        learned = [_learned(both, control) for both, control in self.pairs]
        sentences.append(f"On the forgotten samples, adding twins changed accuracy by {self._points(learned)}.")
        return Paragraph("Was it the twins?", sentences)

    def _noise(self, error: float) -> str:
        far, helped = beyond(self.gains, error), beyond([gain for gain in self.gains if gain > 0], error)
        if not far:
            return (
                f"No difference is larger than twice that, and this was {self.seeds}: differences of this size may be "
                "noise, and nothing here shows that the twins helped or harmed."
            )
        return (
            f"Of {counted(self.gains, 'difference')}, {helped} in the twins’ favour and {far - helped} against them "
            f"exceed twice that; the rest may be noise. This was {self.seeds}."
        )

    def twins_alone(self) -> Paragraph:
        if not self.alone:
            return Paragraph("Twins alone", [])
        number = counted(self.alone, "case")
        sentences = [
            "Healing on twins alone, as one must where the training data is no longer at hand, changed test accuracy "
            f"by {self._points(_change(healed, before) for _, healed, before in self.alone)} from the unlearned model."
        ]
        if self.harmed:
            case, healed, before = min(self.harmed, key=lambda found: _change(*found[1:]))
            sentences.append(
                f"They can be poison: in {len(self.harmed)} of {number} the model ended worse than before it was "
                f"healed, by more than two standard errors; worst {case.name} {case.under}, from "
                f"{self._percent(before.test_accuracy)} to {self._percent(healed.test_accuracy)}."
            )
        taught = [c for c, healed, _ in self.alone if c.original and _learned(healed, c.original) > 0]
        if taught:
            sentences.append(
                f"In {len(taught)} of {number} it then answered more of the forgotten right than even the original."
            )
        return Paragraph("Twins alone", sentences)

    def price(self) -> Paragraph:
        items = []
        for name, group in by_unlearner(self.cases).items():
            prices = [price for case in group if (price := case.price()) is not None]
            if prices:
                steps, seconds = ([price[part] for price in prices] for part in (0, 1))
                items.append((name, f"{span(steps, times)} gold’s gradient steps, {span(seconds, times)} its time."))
        if not items:
            return Paragraph("What it cost", [])
        sentences = ["Unlearning and healing together; less than 1× is cheaper than retraining."]
        shortest = min(case.gold.seconds for case in self.cases if case.gold and case.price())
        if shortest < 10:
            sentences.append(f"Retraining took as little as {shortest:.1f} s here; at such a size, times say little.")
        return Paragraph("What it cost", sentences, items)

    def _percent(self, value: float) -> str:
        return percent(value, self.digits)

    def _points(self, values: Iterable[float]) -> str:
        return f"{span(values, lambda value: signed(value, self.digits))} points"


def _change(model: Row, other: Row) -> float:
    return model.test_accuracy - other.test_accuracy


def _learned(model: Row, other: Row) -> float:
    return model.forget_accuracy - other.forget_accuracy
