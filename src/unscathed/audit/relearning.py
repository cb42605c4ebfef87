"""Relearning: does the model take as long as gold to learn the forgotten again?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from unscathed.audit.case import Case
from unscathed.audit.check import Check
from unscathed.audit.descent import Descent, descend
from unscathed.audit.intervals import Difference
from unscathed.audit.measure import Measure
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Trained
from unscathed.training.seeds import derive, generator


@dataclass(frozen=True, kw_only=True)
class Relearning(Measure):
    """Steps until the forgotten are as well known as before, as a share saved of those that gold takes.

    What an unlearner only hid comes back in a few steps, however bad the model looks on it. Models are tuned on the
    forgotten alone: mixed with retained samples, gold took longer and the shares were much the same (on digits), and
    how well a model kept the retained would be measured with them.

    Args:
        golds: golds of other seeds, besides the case's own. With them the interval covers how far the mean of so few
            may be off, without them only the order of batches. How much one gold differs from the next is for the
            tolerance to cover (on digits, four golds of a request took 237 to 345 steps).
        repeats: how often each model relearns, in other orders of batches.
        learning_rate: constant, a share of the recipe's peak.
        ceiling: the most steps; who needs more is known to need more.
        samples: the most forgotten samples that are relearned, drawn at random from them.
        seed: of batch orders, and of these samples.

    Source: Golatkar, Achille and Soatto 2020, "Eternal Sunshine of the Spotless Net" (re-learn time).
    """

    golds: tuple[Trained, ...] = ()
    repeats: int = 3
    learning_rate: float = 0.1
    ceiling: int = 400
    samples: int = 256
    seed: int = 0

    asks = "forgetting"

    def __post_init__(self) -> None:
        object.__setattr__(self, "golds", tuple(self.golds))
        problems = Problems("cannot measure relearning")
        problems.require(self.repeats >= 2, f"repeats={self.repeats} must be at least 2, for an interval")
        for name in ("learning_rate", "ceiling", "samples"):
            value = getattr(self, name)
            problems.require(value > 0, f"{name}={value} must be positive")
        problems.raise_any()

    def problems_with(self, case: Case) -> list[str]:
        """It needs the original, for the level, and gold, for its steps."""
        found = []
        if case.original is None:
            found.append("relearning needs the original, to whose level the forgotten come back; give original=…")
        if case.peer is None:
            found.append("relearning needs gold, to count its steps; give gold=…, or leave this measure out")
        inside = [gold for gold in self.golds if set(gold.ids) & set(case.forgotten.ids)]
        if inside:
            found.append(f"{len(inside)} of relearning's golds were trained on the forgotten: they are no gold")
        return found

    def checks(self, model: Trained, case: Case) -> tuple[Check, ...]:
        """The head start: 0 where it takes as long as gold, 1 where nothing is left to relearn, below 0 if longer."""
        assert case.peer is not None
        ours = self._runs(model, case)
        golds = [self._runs(gold, case) for gold in (case.peer, *self.golds)]
        bound = case.tolerated.relearning
        takes = "gold takes" if len(golds) == 1 else "golds take"
        remark = f"{_told(ours)} steps where {takes} {_told([run for runs in golds for run in runs])}"
        return (Check("head start in relearning", head_start(ours, golds), -bound, bound, True, remark=remark),)

    def _runs(self, model: Trained, case: Case) -> list[Descent]:
        """A model's descents, done once a case: controls and references are asked for often."""
        return case.once((self, model), lambda: self._descend(model, case))

    def _descend(self, model: Trained, case: Case) -> list[Descent]:
        assert case.original is not None
        chosen = case.once((self, "samples"), lambda: self._chosen(case.forgotten))
        level = float(case.original.evaluate(chosen).losses.double().mean())
        return [
            descend(
                model,
                chosen,
                level=level,
                ceiling=self.ceiling,
                learning_rate=self.learning_rate,
                seed=derive(self.seed, "relearning", repeat),
            )
            for repeat in range(self.repeats)
        ]

    def _chosen(self, forgotten: Samples) -> Samples:
        if len(forgotten) <= self.samples:
            return forgotten
        return forgotten.at(torch.randperm(len(forgotten), generator=generator(self.seed, "forgotten"))[: self.samples])


def head_start(ours: list[Descent], golds: list[list[Descent]]) -> Difference:
    """One less the ratio of mean steps; its error is the ratio's, by the delta method."""
    steps, theirs = _steps(ours), torch.stack([_steps(runs) for runs in golds])
    expected, repeats = float(theirs.mean()), len(steps)
    if expected == 0:
        return Difference(0.0, 0.0, float("-inf"), float("inf"))  # gold knows them as well: there is nothing to relearn
    ratio = float(steps.mean()) / expected
    if len(golds) == 1:
        # Equal orders of batches are pairs.
        error = float((steps - ratio * theirs[0]).std()) / repeats**0.5 / expected
        freedom = repeats - 1
    else:
        own, of_golds = float(steps.var()) / repeats, ratio**2 * float(theirs.mean(dim=1).var()) / len(golds)
        error = (own + of_golds) ** 0.5 / expected
        freedom = min(repeats, len(golds)) - 1
    reach = float(stats.t.ppf(0.975, freedom)) * error
    saved = 1 - ratio
    # Who was stopped would have taken longer.
    low = saved - reach if all(run.reached for run in ours) else float("-inf")
    high = saved + reach if all(run.reached for runs in golds for run in runs) else 1.0
    return Difference(saved, 0.0, low, high, error)


def _steps(runs: list[Descent]) -> Tensor:
    return torch.tensor([run.steps for run in runs], dtype=torch.float64)


def _told(runs: list[Descent]) -> str:
    mean = float(_steps(runs).mean())
    return f"{mean:.1f}" if all(run.reached for run in runs) else f"more than {mean:.0f}"
