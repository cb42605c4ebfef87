"""Controls: models that an audit must not pass. Where one gets through, the audit says nothing of any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from unscathed.audit.case import Case
from unscathed.audit.check import Check
from unscathed.audit.descent import descend
from unscathed.audit.measure import Question
from unscathed.problems import Problems
from unscathed.training import Event, Trained, state_of
from unscathed.training.seeds import derive, seeded

ORIGINAL = "the original"
"""The control of every audit that is given the model before unlearning."""


@dataclass(frozen=True)
class Control:
    """A model that must not pass, and what the audit made of it.

    Args:
        name: what it is.
        asks: the question that it must fail.
        checks: what was found.
    """

    name: str
    asks: Question
    checks: tuple[Check, ...]

    @property
    def noticed(self) -> bool:
        """Whether a check fails it: of forgetting, for what it still knows."""
        if self.asks == "forgetting":
            return any(check.exceeds for check in self.checks)
        return any(check.outcome == "fail" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON."""
        return {
            "name": self.name,
            "asks": self.asks,
            "noticed": self.noticed,
            "checks": [check.to_json() for check in self.checks],
        }


@dataclass(frozen=True, kw_only=True)
class Controls:
    """Which models an audit is tried on, besides the original, which is one wherever it is given.

    All but the overfit take no training, unless ``heal`` does.

    Args:
        random: a model with fresh weights, which must fail utility.
        no_op: the original under the ids of a model that has forgotten, which must fail forgetting.
        heal: what is done to the no-op, e.g. ``lambda model: healer.heal(model, retain=retain)``: healing must not make
            an audit blind. None leaves it as it is.
        overfit: the original tuned further on the forgotten, until their mean loss is a tenth of what it was or for 200
            steps, which must fail forgetting.
        seed: of fresh weights and batch orders.
    """

    random: bool = True
    no_op: bool = True
    heal: Callable[[Trained], Trained] | None = None
    overfit: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        problems = Problems("cannot use these controls")
        problems.require(self.heal is None or self.no_op, "heal=… is for the no-op; give no_op=True")
        problems.raise_any()

    def problems_with(self, case: Case) -> list[str]:
        """What is missing for controls that were asked for beyond the default's."""
        wanted = [name for name, on in (("heal", self.heal is not None), ("overfit", self.overfit)) if on]
        if case.original is not None or not wanted:
            return []
        return [f"the control {' and '.join(wanted)} start from the original; give original=…"]

    def models(self, trained: Trained, case: Case) -> Iterator[tuple[str, Question, Trained]]:
        """Each control's name, the question that it must fail, and the model; the original is the first.

        Args:
            trained: the model audited, whose kind the random one is of.
            case: what it is judged by.
        """
        if case.original is not None:
            yield ORIGINAL, "forgetting", case.original
        if self.random:
            yield "a random model", "utility", random_model(trained, derive(self.seed, "random control"))
        if case.original is None:
            return
        if self.no_op:
            model = no_op(case.original, case)
            if self.heal is None:
                yield "a no-op", "forgetting", model
            else:
                yield "a healed no-op", "forgetting", self.heal(model)
        if self.overfit:
            yield (
                "an overfit model",
                "forgetting",
                overfit_model(case.original, case, derive(self.seed, "overfit control")),
            )


def random_model(like: Trained, seed: int) -> Trained:
    """A model of the same kind with fresh weights, which knows nothing."""
    with seeded(seed, "initialisation"):
        weights = state_of(like.task.build())
    return replace(like, weights=weights, seed=seed, history=(), checkpoints={})


def no_op(original: Trained, case: Case) -> Trained:
    """The original, which says that it has forgotten, and has not."""
    gone = set(case.forgotten.ids)
    event = Event(kind="unlearned", by="no-op", samples=len(gone), steps=0, seconds=0.0)
    ids = tuple(i for i in original.ids if i not in gone)
    return replace(original, ids=ids, history=(*original.history, event))


def overfit_model(original: Trained, case: Case, seed: int) -> Trained:
    """The original tuned further on the forgotten: it knows them better than any honest model."""
    losses = original.evaluate(case.forgotten).losses.double()
    # A tenth of the mean loss, of losses that cannot be negative; of others, what 200 steps give.
    level = float(losses.mean()) / 10 if float(losses.min()) >= 0 else float("-inf")
    return descend(original, case.forgotten, level=level, ceiling=200, learning_rate=0.1, seed=seed).model
