"""SCRUB: a student that disobeys its teacher on what must be forgotten, and obeys on the rest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from unscathed.samples import Batch, Samples
from unscathed.training import Callback, Recipe, Teacher, Trained, tune
from unscathed.training.seeds import derive
from unscathed.unlearners.fine_tuning import FineTuning


@dataclass(frozen=True, kw_only=True)
class Scrub(FineTuning):
    """Distil the original θ_o into θ', away from it on the forget set and towards it on the retained samples.

    ``min_θ' α E_{D_r} d(x; θ_o, θ') + γ E_{D_r} ℓ(θ'; x, y) - E_{D_u} d(x; θ_o, θ')``, where d is the divergence of the
    student's answers from the teacher's (`Task.divergences`; KL for classes), by turns: passes over the retained
    samples that lower it (min-steps), and between them, in the first rounds, passes over the forget set that raise it
    (max-steps). Rounds begin with min-steps: at θ' = θ_o the divergence is flat, and there is no way up.

    Args:
        alpha: α, how much the teacher counts on retained samples.
        gamma: γ, how much their targets count.
        rounds: how many passes of min-steps there are; together they last as long as ``epochs`` or ``steps`` say.
        max_rounds: after how many of them, from the first on, one pass of max-steps follows; the last has none.
        epochs: passes over the retained samples; give this or ``steps``. By default a tenth of the original's training.
        steps: gradient steps of min-steps.
        learning_rate: its peak, as a share of the original recipe's; max-steps keep it as it is.
        kl_budget: what it may cost on retained samples, nats (`FineTuning`).

    Source: Kurmanji et al. 2023, "Towards Unbounded Machine Unlearning", equation 3 and algorithm 1 (α and γ as in
    their small experiments; the numbers of rounds and their length are chosen here, without their tempering).
    """

    alpha: float = 1e-3
    gamma: float = 0.99
    rounds: int = 3
    max_rounds: int = 2

    def _problems_with_settings(self) -> list[str]:
        found = [
            f"{n}={getattr(self, n)} must not be negative" for n in ("alpha", "gamma") if not getattr(self, n) >= 0
        ]
        whole = all(isinstance(count, int) for count in (self.rounds, self.max_rounds))
        if not whole or not 1 <= self.max_rounds < self.rounds:
            found.append(
                f"max_rounds={self.max_rounds} and rounds={self.rounds} must be whole numbers, and max_rounds at least "
                "1 and less than rounds, so that the last steps repair the model"
            )
        return found

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        started = time.perf_counter()
        forgotten, retain = samples.only(forget), samples.without(forget)
        teacher = Teacher(trained)
        whole = self.recipe_for(trained, len(retain))
        each = max(1, round(whole.total_steps(len(retain)) / self.rounds))
        lower = whole.lasting(steps=each)
        higher = replace(whole.lasting(epochs=1), schedule="constant", weight_decay=0.0)

        def obey(outputs: Any, batch: Batch) -> Tensor:
            losses = trained.task.losses(outputs, batch)
            return self.gamma * losses + self.alpha * teacher.divergences(outputs, batch)

        def disobey(outputs: Any, batch: Batch) -> Tensor:
            return -teacher.divergences(outputs, batch)

        def go_on(student: Trained, part: Samples, recipe: Recipe, objective: Any, what: str, number: int) -> Trained:
            return tune(
                student,
                part,
                recipe,
                # A second request must not draw the first one's batches again.
                seed=derive(seed, what, len(trained.history), number),
                kind="unlearned",
                by=repr(self),
                callbacks=callbacks,
                what=f"SCRUB, {what}, round {number + 1}/{self.rounds}",
                objective=objective,
            )

        student = trained
        for number in range(self.rounds):
            student = go_on(student, retain, lower, obey, "min-steps", number)
            if number < self.max_rounds:
                student = go_on(student, forgotten, higher, disobey, "max-steps", number)
        done = student.history[len(trained.history) :]
        return self.settle(
            trained,
            student,
            retain,
            forget,
            seed=seed,
            started=started,
            steps=sum(e.steps for e in done),
            details={
                "max_steps": self.max_rounds * higher.total_steps(len(forgotten)),
                "teacher_batches": sum(e.steps for e in done),
            },
        )
