"""Teller: what the paragraphs of the story are made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from unscathed.lab.report.cases import Case, Model, cases
from unscathed.lab.report.noise import beyond, error_of_difference
from unscathed.lab.report.wording import counted, voice
from unscathed.lab.results import Results, Row
from unscathed.lab.statistics import Estimate


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


@dataclass(frozen=True)
class Judged:
    """One healed model of one seed, with the original of the same seed."""

    case: Case
    healed: Row
    original: Row | None


class Teller:
    """Cases, differences, and how sure they are.

    With one seed, a difference is compared with the binomial error of a test; with several, with its interval over
    seeds.

    Args:
        results: what was measured.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        self.voice = voice(results)
        self.cases = cases(results)
        self.healed = [(case, case.both) for case in self.cases if case.both is not None]
        self.pairs = [(both, case.control) for case, both in self.healed if case.control is not None]
        self.gains = [gain for both, control in self.pairs if (gain := both.minus(control)) is not None]
        self.error = error_of_difference(results, (model for pair in self.pairs for model in pair))
        alone = [(case, case.twins_only, case.unlearned) for case in self.cases]
        self.alone = [
            (case, healed, before, change)
            for case, healed, before in alone
            if healed is not None and before is not None and (change := healed.minus(before)) is not None
        ]
        self.alone_error = error_of_difference(results, (m for _, *models, _ in self.alone for m in models))
        self.harmed = [found for found in self.alone if self.worse(found[3], self.alone_error)]
        self.seeds = sorted({row.seed for row in results.rows})

    @property
    def several(self) -> bool:
        """Whether there are several seeds."""
        return len(self.seeds) > 1

    @property
    def how_many_seeds(self) -> str:
        """``one seed``, ``5 seeds``."""
        return f"{len(self.seeds)} seeds" if self.several else "one seed"

    @property
    def judged(self) -> list[Judged]:
        """Every healed model that was audited, a seed at a time."""
        return [
            Judged(case, row, case.original.at(row.seed) if case.original else None)
            for case, both in self.healed
            for row in both.rows
            if row.forgotten is not None
        ]

    def sure(self, change: Estimate, error: float | None) -> bool:
        """Whether a difference is more than noise, as far as can be told."""
        return change.certain if change.n > 1 else error is not None and beyond([change.mean], error) > 0

    def worse(self, change: Estimate, error: float | None) -> bool:
        """Whether a model became worse by more than noise."""
        return change.mean < 0 and self.sure(change, error)

    def size(self) -> str:
        """How many of the twins' gains are more than noise, as the end of a sentence; empty where nobody can tell."""
        if not self.several and self.error is None:
            return ""
        far = sum(self.sure(gain, self.error) for gain in self.gains)
        often = f"{far} of {len(self.gains)} times" if far else "never"
        by = "with an interval over seeds that leaves zero out" if self.several else "by more than two standard errors"
        return f", {often} {by}"

    def points(self, changes: Iterable[Estimate]) -> str:
        """The span of some differences' means."""
        return self.voice.change(change.mean for change in changes)

    def number(self, things: Sequence[object]) -> str:
        """How many audited models there are; with one seed each is a case."""
        return counted(things, "model" if self.several else "case")


def changes(pairs: Iterable[tuple[Model | None, Model | None]], measure: str = "test_accuracy") -> list[Estimate]:
    """The differences of pairs of models, as far as both were measured."""
    found = (model.minus(other, measure) if model is not None else None for model, other in pairs)
    return [change for change in found if change is not None]
