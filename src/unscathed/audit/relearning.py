"""Relearning: does the model take as long as gold to learn the forgotten again?"""

from __future__ import annotations

from dataclasses import dataclass, replace

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

    Each descent is on a random half of the forgotten: the spread over halves is the error of the whole, as if others
    had been drawn from the same source.

    Args:
        golds: golds of other seeds, besides the case's own. With them the interval covers how far the mean of so few
            may be off as well. How much one gold differs from the next is for the tolerance to cover (on digits, four
            golds of a request took 237 to 345 steps).
        halves: how many random halves of the forgotten each model relearns.
        learning_rate: constant, a share of the recipe's peak.
        ceiling: the most steps; who needs more is known to need more.
        samples: the most forgotten samples that halves are of, drawn at random.
        seed: of these samples, the halves, and batch orders.

    Source: Golatkar, Achille and Soatto 2020, "Eternal Sunshine of the Spotless Net" (re-learn time); McCarthy 1969,
    "Pseudo-replication: Half samples", for the error.
    """

    golds: tuple[Trained, ...] = ()
    halves: int = 5
    learning_rate: float = 0.1
    ceiling: int = 400
    samples: int = 256
    seed: int = 0

    asks = "forgetting"

    def __post_init__(self) -> None:
        object.__setattr__(self, "golds", tuple(self.golds))
        problems = Problems("cannot measure relearning")
        problems.require(self.halves >= 2, f"halves={self.halves} must be at least 2, for an interval")
        for name in ("learning_rate", "ceiling"):
            value = getattr(self, name)
            problems.require(value > 0, f"{name}={value} must be positive")
        problems.require(self.samples >= 2, f"samples={self.samples} must be at least 2, for halves")
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
        found, bound = head_start(ours, golds), case.tolerated.relearning
        if len(case.forgotten) == 1:
            found = replace(found, low=float("-inf"), high=float("inf"))  # one sample has no halves
        takes = "gold takes" if len(golds) == 1 else "golds take"
        remark = f"{_told(ours)} steps where {takes} {_told([run for runs in golds for run in runs])}"
        return (Check("head start in relearning", found, -bound, bound, True, remark=remark),)

    def _runs(self, model: Trained, case: Case) -> list[Descent]:
        """A model's descents, done once a case: controls and references are asked for often."""
        return case.once((self, model), lambda: self._descend(model, case))

    def _descend(self, model: Trained, case: Case) -> list[Descent]:
        assert case.original is not None
        halves = case.once((self, "halves"), lambda: self._halves(case.forgotten))
        return [
            descend(
                model,
                half,
                level=float(case.original.evaluate(half).losses.double().mean()),
                ceiling=self.ceiling,
                learning_rate=self.learning_rate,
                seed=derive(self.seed, "relearning", number),
            )
            for number, half in enumerate(halves)
        ]

    def _halves(self, forgotten: Samples) -> list[Samples]:
        random = generator(self.seed, "halves of the forgotten")
        drawn = torch.randperm(len(forgotten), generator=random)[: self.samples]
        size = (len(drawn) + 1) // 2
        return [forgotten.at(drawn[torch.randperm(len(drawn), generator=random)[:size]]) for _ in range(self.halves)]


def head_start(ours: list[Descent], golds: list[list[Descent]]) -> Difference:
    """One less the ratio of mean steps.

    Args:
        ours: of the model, one a half.
        golds: of each gold, on the same halves.
    """
    steps, theirs = _steps(ours), torch.stack([_steps(runs) for runs in golds])
    expected = float(theirs.mean())
    if expected == 0:
        return Difference(0.0, 0.0, float("-inf"), float("inf"))  # gold knows them as well: there is nothing to relearn
    ratio = float(steps.mean()) / expected
    # The ratio's error by the delta method: over halves, and over golds.
    variance, freedom = float((steps - ratio * theirs.mean(dim=0)).var()), len(steps) - 1
    if len(golds) > 1:
        variance += ratio**2 * float(theirs.mean(dim=1).var()) / len(golds)
        freedom = min(freedom, len(golds) - 1)
    error = variance**0.5 / expected
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
