"""Membership, sample by sample: does the model look as if it was trained on the forgotten?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from scipy import stats
from torch import Tensor

from unscathed.audit.attack import Attack
from unscathed.audit.case import Case
from unscathed.audit.check import Check
from unscathed.audit.intervals import Difference
from unscathed.audit.measure import Measure
from unscathed.audit.membership import compare_membership, membership_auc
from unscathed.audit.rmia import Rmia
from unscathed.audit.roc import TruePositives, compare_true_positives, true_positives
from unscathed.ensemble import EnsembleTask
from unscathed.task import Task
from unscathed.training import ShadowMargins, Shadows, Trained


@dataclass(frozen=True, kw_only=True)
class PerSampleMembership(Measure):
    """An attack with shadow models: the AUC between the forgotten and unseen samples against gold's, either way.

    Without gold it is compared with chance. That is a weaker question: a hard sample in a model that never saw it can
    score below most unseen ones, so that some memory of it passes for none.

    True positives at low rates of false ones are told beside it. They are judged where a tolerance is given: it takes
    hundreds of forgotten samples to know a share to 0.05, and a rate of 0.1 % takes 1,000 unseen ones to speak of.

    Args:
        shadows: trained with the model's recipe on halves of samples among which the forgotten are, and the unseen
            where the attack is online.
        attack: which one; by default offline RMIA, which asks nothing of the unseen and saw most on digits and MNIST.
        golds: from several seeds, the audit's own gold among them; their spread is added to the interval, since one
            gold's AUC differs from another's by more than samples tell. Without it they are passed over.
        rates: of false positives, at which true ones are told.
        tolerated: how much higher (and with gold, lower) the share of true positives may be; None to tell it only.
    """

    shadows: Shadows = field(repr=False)
    attack: Attack = field(default_factory=lambda: Rmia(online=False))
    golds: tuple[Trained, ...] = field(default=(), repr=False)
    rates: tuple[float, ...] = (0.01, 0.001)
    tolerated: float | None = None

    asks = "forgetting"

    def problems_with(self, case: Case) -> list[str]:
        """There must be samples never seen, and shadow models that say enough of them and of the forgotten."""
        found = [f"rates={self.rates} must lie between 0 and 1"] if not all(0 < rate < 1 for rate in self.rates) else []
        if not len(case.unseen):
            return [*found, "membership needs samples that were never seen; give test=… or unseen=…"]
        if not len(case.forgotten):
            return found
        if _single(self.shadows.models[0].task).signature() != _single(case.task).signature():
            return [*found, "the shadow models are of another task than the model audited"]
        gone = set(case.forgotten.ids)
        if inside := sum(not gone.isdisjoint(gold.ids) for gold in self.golds):
            found.append(f"{inside} of {len(self.golds)} golds were trained on forgotten samples: they are not gold")
        parts = (ShadowMargins.of(self.shadows, part) for part in (case.forgotten, case.unseen))
        return [*found, *self.attack.problems_with(*parts)]

    def checks(self, model: Trained, case: Case) -> tuple[Check, ...]:
        """The AUC, then the true positives at each rate."""
        peer, bound = case.peer, case.tolerated.membership
        ours, others = self._scores(model, case)
        theirs, their_others = (
            (None, None) if peer is None else case.once((self, peer), lambda: self._scores(peer, case))
        )
        labels = (case.task.labels(case.forgotten.targets), case.task.labels(case.unseen.targets))
        compared = compare_membership(ours, others, theirs, their_others, *labels)
        if peer is not None and any(peer.weights is gold.weights for gold in self.golds):
            compared = against_golds(compared, case.once((self, "golds"), lambda: self._areas_of_golds(case)))
        remark = f"{self.attack!r} with {len(self.shadows.models)} shadow models"
        found = [Check(f"{self.attack} AUC", compared, None if peer is None else -bound, bound, remark=remark)]
        for rate in self.rates:
            seen = true_positives(ours, others, rate)
            reference = None if theirs is None or their_others is None else true_positives(theirs, their_others, rate)
            highest = self.tolerated
            lowest = None if highest is None or peer is None else -highest
            found.append(
                Check(
                    f"{self.attack} true positives at {100 * rate:g} % false ones",
                    compare_true_positives(seen, reference),
                    lowest,
                    highest,
                    percent=True,
                    remark=_resolution(seen, len(others)),
                )
            )
        return tuple(found)

    def _areas_of_golds(self, case: Case) -> list[float]:
        labels = (case.task.labels(case.forgotten.targets), case.task.labels(case.unseen.targets))
        return [membership_auc(*self._scores(gold, case), *labels) for gold in self.golds]

    def _scores(self, model: Trained, case: Case) -> tuple[Tensor, Tensor]:
        return self.attack.attack(model, self.shadows, case.forgotten, unseen=case.unseen)


def _single(task: Task) -> Task:
    """The task of one model: single shadow models serve for an ensemble too."""
    return task.task if isinstance(task, EnsembleTask) else task


def against_golds(compared: Difference, areas: Sequence[float]) -> Difference:
    """A difference from one gold's area as one from several golds' mean, as wide as a further gold's would be.

    The interval of samples and that of training (Student's, of one more draw beside so many) are added as squares.

    Args:
        compared: with one of the golds.
        areas: of all of them.
    """
    count, mean = len(areas), statistics.fmean(areas)
    if count < 2:
        return compared
    training = statistics.stdev(areas) * (1 + 1 / count) ** 0.5
    reach = math.hypot((compared.high - compared.low) / 2, float(stats.t.ppf(0.975, count - 1)) * training)
    difference = compared.value - mean
    error = math.hypot(compared.standard_error, training)
    return Difference(compared.value, mean, difference - reach, difference + reach, error)


def _resolution(found: TruePositives, unseen: int) -> str:
    if found.resolved:
        return f"of {unseen} unseen samples, {int(found.rate * unseen + 1e-9)} may be named"
    return f"not enough evidence: this rate takes {round(1 / found.rate):,} unseen samples, and there are {unseen}"
