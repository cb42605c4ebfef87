"""Until: healing in rounds that double, until a model is whole or gets no better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Trained


@dataclass(frozen=True, kw_only=True)
class Until:
    """Go on until a held-out score is reached, or no longer rises; each round doubles what was spent so far.

    Every round has a whole schedule of its own, so that wherever it ends, the learning rate has come down: a short
    healing is not the head of a long one. The best round's model is kept.

    Args:
        target: the mean score on held-out samples (`Task.scores`) that is enough; None goes on while it rises.
        rise: the least rise, as a share of `Task.score_range`, for which another round is worth its price.
        first: steps of the first round, as a share of the original's training.
        ceiling: steps of all rounds, as a share of it.
    """

    target: float | None = None
    rise: float = 0.002
    first: float = 0.05
    ceiling: float = 0.5

    def __post_init__(self) -> None:
        problems = Problems("cannot heal until")
        problems.require(
            0 < self.first <= self.ceiling,
            f"first={self.first} and ceiling={self.ceiling} must be shares of the original's steps, "
            "0 < first ≤ ceiling",
        )
        problems.require(self.rise >= 0, f"rise={self.rise} must not be negative")
        problems.raise_any()

    def rounds(
        self, unlearned: Trained, held_out: Samples, heal: Callable[[Trained, int, int], tuple[Trained, int]]
    ) -> tuple[Trained, int, list[dict[str, Any]]]:
        """The best model, the steps of all rounds, and what each round took and reached.

        Args:
            unlearned: the model.
            held_out: samples that it is not healed on.
            heal: from a model, steps and the round's number to the healed model and the steps that it took.
        """
        fitted = unlearned.history[0].steps
        ceiling = max(1, round(self.ceiling * fitted))
        best, best_score = unlearned, unlearned.score(held_out)
        model, score, spent = unlearned, best_score, 0
        told: list[dict[str, Any]] = []
        while spent < ceiling and not (self.target is not None and score >= self.target):
            wanted = min(max(spent, round(self.first * fitted), 1), ceiling - spent)
            model, took = heal(model, wanted, len(told))
            spent, before, score = spent + took, score, model.score(held_out)
            told.append({"steps": took, "score": score})
            # A model that was healed has the twins' ids, so the unlearned one is no candidate any more.
            if best is unlearned or score > best_score:
                best, best_score = model, score
            rose = score - before >= self.rise * unlearned.task.score_range
            if self.target is None and not rose and len(told) > 1:
                break
        return (replace(best, history=unlearned.history) if told else unlearned), spent, told
