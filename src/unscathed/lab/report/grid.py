"""The grid: every cell of an experiment as a line of a table that a reader can sort."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unscathed.lab.labels import STRATEGIES
from unscathed.lab.report.cases import Case, Model, cases
from unscathed.lab.report.wording import Voice, marks, number, signed, times, voice, whole
from unscathed.lab.results import Results

HEADINGS = (
    "setting", "adversary", "forgotten", "unlearner", "model", "n", "test", "− gold", "on forgotten", "− gold",
    "AUC", "steps", "time", "whole", "gone",
)  # fmt: skip
ORDER = {"pass": 2, "not enough evidence": 1, "fail": 0}


@dataclass(frozen=True)
class Value:
    """What is shown, and what it is sorted by.

    Args:
        text: shown.
        key: a number or a text.
        name: whether it is a name: left-aligned, and sorted by its text.
    """

    text: str
    key: float | str
    name: bool = False


def grid_lines(results: Results) -> list[list[Value]]:
    """A line for each model of each cell, the values in the order of `HEADINGS`; what cells share is shown once.

    Args:
        results: what was measured of one setting.
    """
    spoken, lines = voice(results), []
    shared: set[tuple[str, str]] = set()
    samples = results.environment.get("training_samples")
    for case in cases(results):
        whose = case.unlearner if case.sharded else "all"
        for label, unlearner, model in (
            ("original", whose, case.original),
            ("gold", "all", case.gold),
            ("unlearned", case.unlearner, case.unlearned),
            *((f"healed, {_way(how, case)}", case.unlearner, model) for how, model in case.healed.items()),
        ):
            once = (case.adversary, f"{label} of {unlearner}")
            if model is None or once in shared:
                continue
            shared.add(once)
            lines.append(_line(results.title or results.dataset, case, label, unlearner, model, samples, spoken))
    return lines


def _way(strategy: str, case: Case) -> str:
    label = STRATEGIES.get(strategy, strategy)
    return f"{label} ({case.way})" if case.way else label


def _line(
    setting: str, case: Case, label: str, unlearner: str, model: Model, samples: object, spoken: Voice
) -> list[Value]:
    size, share = model.mean("forget_size"), whole(model.mean("forget_size"))
    if isinstance(samples, int) and samples > 0:
        share = f"{100 * size / samples:.3g} %"
    price = _price(case, label, model)
    return [
        Value(setting, setting, True),
        Value(case.adversary, case.adversary, True),
        Value(share, size),
        Value(unlearner, unlearner, True),
        Value(label, label, True),
        Value(str(len(model.rows)), len(model.rows)),
        *(part for m in ("test_accuracy", "forget_accuracy") for part in _measure(model, case, m, spoken.digits)),
        Value(number(model.membership_auc, 3), _key(model.membership_auc)),
        *(Value("–", "") if part is None else Value(times(part), part) for part in price),
        *(_words(model, question) for question in ("whole", "forgotten")),
    ]


def _measure(model: Model, case: Case, measure: str, digits: int) -> tuple[Value, Value]:
    difference = model.minus(case.gold, measure)
    if difference is None or model is case.gold:
        return _mean(model, measure, digits), Value("–", "")
    half = f" ± {difference.half:.{digits}f}" if difference.half is not None else ""
    return _mean(model, measure, digits), Value(f"{signed(difference.mean, digits)}{half}", difference.mean)


def _mean(model: Model, measure: str, digits: int) -> Value:
    found = model.estimate(measure)
    half = f" ± {found.half:.{digits}f}" if found.half is not None else ""
    return Value(number(found.mean, digits) + half, _key(found.mean))


def _key(value: float) -> float | str:
    return "" if math.isnan(value) else value


def _price(case: Case, label: str, model: Model) -> tuple[float | None, float | None]:
    """Steps and seconds of all that was done since the request, over gold's."""
    if case.gold is None or case.unlearned is None or label in ("original", "gold"):
        return None, None
    spent = [model] if model is case.unlearned else [case.unlearned, model]
    gold = [case.gold.mean(part) for part in ("steps", "seconds")]
    if min(gold) <= 0:
        return None, None
    steps, seconds = (sum(one.mean(part) for one in spent) for part in ("steps", "seconds"))
    return steps / gold[0], seconds / gold[1]


def _words(model: Model, question: str) -> Value:
    words = model.words(question)
    return Value(marks(words), sum(ORDER.get(word, 0) for word in words) / len(words) if words else "")
