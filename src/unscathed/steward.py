"""Steward: the one call of whoever must honour deletion requests on a live model."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from unscathed.audit import Tolerance, Verdict, audit
from unscathed.healing import Healer
from unscathed.problems import BadInputError, Problems, UnscathedError, some
from unscathed.reserve import SpareSet, Twins
from unscathed.samples import Samples, as_ids
from unscathed.screening import Assessment, Assessor, Door, Triage
from unscathed.training import Callback, Event, Trained
from unscathed.unlearners import Unlearner


class NeedsReviewError(UnscathedError):
    """A request looks like an attack, and a person has to look at it before it is honoured; nothing has changed.

    Args:
        assessment: what the screens make of it.
    """

    def __init__(self, assessment: Assessment) -> None:
        super().__init__(f"the request waits for a person: {assessment}; honour it with forget(…, reviewed=True)")
        self.assessment = assessment


@dataclass(frozen=True, kw_only=True)
class SaferRoad:
    """How requests are honoured that look like attacks. They are honoured: a legal request is never refused.

    Args:
        unlearner: forgets in place of the ordinary one (`Retrain`, which damages nothing, say); None for the same.
        healer: heals in place of the ordinary one (for longer, say); None for the same.
        review: whether a person has to look at the request first (`NeedsReviewError`).
    """

    unlearner: Unlearner | None = None
    healer: Healer | None = None
    review: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a request.

    Args:
        trained: the model, unlearned and healed (if at all).
        verdict: what the audit says of it.
        twins: the spares that stand in for what was forgotten; None where no healer uses any.
        withdrawn: ids that were spares, which left the reserve: the model never saw them.
        copies: ids that stay in the training data and are the same as a forgotten sample (or nearly so, where that was
            looked for), by its id: whoever asked should know. Those in the reserve are ``twins.refused``.
        assessment: what screens made of the request; None where there were none. It stands in the history, too.
    """

    trained: Trained
    verdict: Verdict
    twins: Twins | None
    withdrawn: tuple[str, ...] = ()
    copies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    assessment: Assessment | None = None

    @property
    def history(self) -> tuple[Event, ...]:
        """What was done to the model, oldest first."""
        return self.trained.history


class Steward:
    """Keeps a model, its samples and its reserve, and honours requests one after the other.

    Args:
        trained: the model.
        samples: what it was trained on.
        reserve: spares, none of them trained on.
        unlearner: how it forgets.
        healer: how it is made whole; None leaves it as it was unlearned, which keeps a certificate
            (`CertifiedRemoval`) or the bits of gold (`Retrain`), and spends no spares. Without healing, a method with a
            ``kl_budget`` honours requests until they have spent it together.
        test: held-out samples for the audit's utility; without, the unspent spares serve.
        tolerance: what the audit lets pass.
        look_for_copies: whether all retained samples are searched for near copies of the forgotten, which takes a pass
            over them where features are compared; exact copies always are.
        triage: assesses each request before it is honoured, calibrated anew for each model.
        safer: how requests are honoured that look like attacks.
        callbacks: progress.

    Raises:
        BadInputError: samples and model do not belong together, or spares were trained on.
    """

    def __init__(
        self,
        trained: Trained,
        samples: Samples,
        reserve: SpareSet,
        *,
        unlearner: Unlearner,
        healer: Healer | None,
        test: Samples | None = None,
        tolerance: Tolerance | None = None,
        look_for_copies: bool = False,
        triage: Triage | None = None,
        safer: SaferRoad | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        problems = Problems("cannot take charge of this model")
        inside = set(trained.ids)
        foreign = inside.symmetric_difference(samples.ids)
        problems.require(
            not foreign,
            f"{len(foreign)} ids are only in the model or only in the samples ({some(sorted(foreign))}); "
            "give the samples that it was trained on",
        )
        leaked = inside.intersection(reserve.unspent.ids)
        problems.require(not leaked, f"{len(leaked)} unspent spares were trained on ({some(sorted(leaked))})")
        for part in (reserve.spares, test):
            if part is not None:
                problems.extend(trained.task.problems_with(part))
        problems.require(
            (triage is None) == (safer is None),
            "triage and safer belong together: give both, e.g. safer=SaferRoad(unlearner=Retrain()), or neither",
        )
        problems.raise_any()
        self.trained = trained
        self.samples = samples
        self.reserve = reserve
        self.unlearner = unlearner
        self.healer = healer
        self.test = test
        self.tolerance = tolerance
        self.look_for_copies = look_for_copies
        self.triage = triage
        self.safer = safer
        self.callbacks = callbacks
        self._assessor: tuple[Trained, Assessor] | None = None

    def __repr__(self) -> str:
        return f"Steward({self.trained!r}, {self.reserve!r}, unlearner={self.unlearner!r}, healer={self.healer!r})"

    def forget(
        self,
        ids: Iterable[str | int] | Samples,
        *,
        gold: Trained | None = None,
        request: str = "",
        reviewed: bool = False,
    ) -> Outcome:
        """Honour a request: match twins, unlearn, heal, audit. Where a step fails, nothing has changed.

        Args:
            ids: the samples to forget. Some may be spares: those leave the reserve. Instead of ids, their content can
                be given: only what was learned, or is held in reserve, is let through (`Door`).
            gold: the model retrained without them, to be audited against, in experiments. In use there is none,
                and unspent spares stand for "never seen".
            request: what the request is called, for the reserve's record.
            reviewed: whether a person has looked at the request.

        Raises:
            NeedsReviewError: it looks like an attack, and the safer road begins with a person.
            BadInputError: ids are unknown, repeated or none, content is of no sample here, or a method lacks what it
                needs.
            ReserveExhaustedError: spares run out.
            BudgetSpentError: requests that nobody healed have used up what the unlearner may cost.
        """
        gone = self.reserve.gone
        # What a screen put into quarantine was never trained on either.
        at_hand = {i for i in self.reserve.spares.ids if i not in gone or gone[i].fate == "quarantined"}
        listed = self._let_through(ids, at_hand) if isinstance(ids, Samples) else as_ids(ids)
        withdrawn = [i for i in listed if i in at_hand]
        wanted = [i for i in listed if i not in at_hand]
        if withdrawn and not wanted:
            self.reserve.withdraw(withdrawn, request=request)
            note = f"All {len(withdrawn)} were spares that the model never saw; they left the reserve."
            return Outcome(self.trained, Verdict((), (), note=note, untouched=True), None, tuple(withdrawn))
        self.unlearner.check(self.trained, self.samples, wanted)
        assessment = self.assess(wanted)
        unlearner, healer = self._road(assessment, reviewed)
        if unlearner is not self.unlearner:
            unlearner.check(self.trained, self.samples, wanted)
        forgotten, retain = self.samples.only(wanted), self.samples.without(wanted)
        twins = self._match(healer, forgotten, retain, withdrawn)
        copies = self._copies(forgotten, retain)
        stand_ins = twins.samples if twins is not None else None
        unseen = self._unseen(forgotten, twins, withdrawn)

        unlearned = unlearner.unlearn(self.trained, self.samples, wanted, callbacks=self.callbacks)
        healed = unlearned = _with_assessment(unlearned, assessment)
        if healer:
            healed = healer.heal(
                unlearned,
                retain=retain if healer.uses_retain else None,
                twins=stand_ins,
                before=self.trained if healer.needs_before else None,
                held_out=unseen if healer.needs_held_out else None,
                callbacks=self.callbacks,
            )
        verdict = audit(
            healed,
            forgotten=forgotten,
            test=self.test if self.test is not None else unseen,
            gold=gold,
            original=self.trained,
            unseen=unseen,
            tolerance=self.tolerance,
        )

        # Everything has succeeded: only now does anything change.
        if twins is not None:
            self.reserve.spend(twins, request=request)
        if withdrawn:
            self.reserve.withdraw(withdrawn, request=request)
        self.trained = healed
        fresh = self.reserve.spares.only(twins.fresh) if twins is not None and twins.fresh else None
        self.samples = retain + fresh if fresh is not None else retain
        return Outcome(healed, verdict, twins, tuple(withdrawn), copies, assessment)

    def assess(self, ids: Iterable[str | int]) -> Assessment | None:
        """What the screens make of a request for these samples, without honouring it; None where there are none.

        Raises:
            BadInputError: ids are unknown, or none.
        """
        if self.triage is None:
            return None
        if self._assessor is None or self._assessor[0] is not self.trained:
            self._assessor = self.trained, self.triage.fit(self.trained, self.samples)
        return self._assessor[1].assess(as_ids(ids))

    def _road(self, assessment: Assessment | None, reviewed: bool) -> tuple[Unlearner, Healer | None]:
        """With what the request is honoured."""
        if self.safer is None or assessment is None or assessment.road == "ordinary":
            return self.unlearner, self.healer
        if self.safer.review and not reviewed:
            raise NeedsReviewError(assessment)
        return self.safer.unlearner or self.unlearner, self.safer.healer or self.healer

    def _let_through(self, content: Samples, at_hand: Container[str]) -> list[str]:
        """The ids of the samples that content is of."""
        waiting = self.reserve.spares.only([i for i in self.reserve.spares.ids if i in at_hand])
        known = self.samples + waiting if len(waiting) else self.samples
        admission = Door(known).admit(content)
        admission.raise_any()
        return list(admission.admitted)

    def _match(
        self, healer: Healer | None, forgotten: Samples, retain: Samples, withdrawn: Sequence[str]
    ) -> Twins | None:
        """Twins, if the healer uses any; what is withdrawn is nobody's."""
        if healer is None or not healer.uses_twins:
            return None
        # With none retained, the unlearner has spoken before.
        return self.reserve.match(forgotten, self.trained, but=withdrawn, distinct=retain if len(retain) else None)

    def _copies(self, forgotten: Samples, retain: Samples) -> dict[str, tuple[str, ...]]:
        """What is the same as the forgotten, or nearly so where that is looked for, and stays."""
        found = retain.copies_of(forgotten)
        if self.look_for_copies:
            for i, near in self.reserve.near_copies(forgotten, retain, self.trained).items():
                found[i] = tuple(dict.fromkeys([*found.get(i, ()), *near]))
        if found:
            kind = "copies, or nearly so," if self.look_for_copies else "exact copies"
            named = some(i for same in found.values() for i in same)
            warnings.warn(
                f"{len(found)} of the forgotten have {kind} that stay in the training data under other ids ({named}): "
                "deleting one copy deletes nothing; ask for these too",
                stacklevel=3,
            )
        return found

    def _unseen(self, forgotten: Samples, twins: Twins | None, withdrawn: Sequence[str]) -> Samples:
        """What the model will never have seen, to compare the forgotten with: spares left over, else test samples."""
        # What is nearly the forgotten would be known as well as they are.
        leaving = () if twins is None else (*twins.fresh, *twins.refused)
        unspent = self.reserve.unspent
        left = unspent.without({*withdrawn, *leaving} & set(unspent.ids))
        for unseen in (left, self.test):
            if unseen is not None and self._comparable(forgotten, unseen):
                return unseen
        raise BadInputError(
            "cannot audit what would come of this request",
            [
                "it would spend the last spares of the forgotten samples' classes, and nothing unseen would be left to "
                "compare them with; hold back a larger reserve, or give test=…"
            ],
        )

    def _comparable(self, forgotten: Samples, unseen: Samples) -> bool:
        if not len(unseen):
            return False
        labels, others = (self.trained.task.labels(part.targets) for part in (forgotten, unseen))
        return labels is None or others is None or bool(torch.isin(others, labels).any())


def _with_assessment(unlearned: Trained, assessment: Assessment | None) -> Trained:
    """The model with what screens made of the request in the record of how it was honoured."""
    if assessment is None:
        return unlearned
    *before, last = unlearned.history
    kept = {"road": assessment.road, "rarity": assessment.rarity, "reasons": list(assessment.reasons)}
    return replace(unlearned, history=(*before, replace(last, details={**last.details, "assessment": kept})))
