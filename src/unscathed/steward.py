"""Steward: the one call of whoever must honour deletion requests on a live model."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from unscathed.audit import Tolerance, Verdict, audit
from unscathed.audit.non_members import LEFT_OVER, is_fair
from unscathed.healing import Consolidation, HealingMethod, Wear
from unscathed.problems import BadInputError, Problems, some
from unscathed.reserve import SpareSet, Twins
from unscathed.samples import Samples, as_ids
from unscathed.screening import Assessment, Assessor, Door, NeedsReviewError, SaferRoad, Triage
from unscathed.training import Callback, Evaluation, Event, Trained
from unscathed.unlearners import Retrain, Unlearner

NOTHING_UNSEEN = (
    "it would spend the last spares of the forgotten samples' classes, and nothing unseen would be left to compare "
    "them with; hold back a larger reserve, or give test=… or unseen=…"
)


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
        test: held-out samples for the audit's utility, and to compare the forgotten with once spares that are left
            over are no fair sample any more; without, these serve all the same, and the verdict says so.
        unseen: samples that are never trained on nor matched, of the same data as the training samples, to compare the
            forgotten with; for test samples of another time or place.
        tolerance: what the audit lets pass.
        look_for_copies: whether all retained samples are searched for near copies of the forgotten, which takes a pass
            over them where features are compared; exact copies always are.
        triage: assesses each request before it is honoured, calibrated anew for each model.
        safer: how requests are honoured that look like attacks.
        consolidation: when a model that has honoured many requests is trained anew, in place of unlearning and healing
            once more; it takes the model's drift on ``test`` into account, where that is given. The reason stands in
            the history.
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
        healer: HealingMethod | None,
        test: Samples | None = None,
        unseen: Samples | None = None,
        tolerance: Tolerance | None = None,
        look_for_copies: bool = False,
        triage: Triage | None = None,
        safer: SaferRoad | None = None,
        consolidation: Consolidation | None = None,
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
        ways = (unlearner, healer, *((safer.unlearner, safer.healer) if safer is not None else ()))
        starts = {i for way in ways if way is not None for i in way.brings}.intersection(reserve.unspent.ids)
        problems.require(
            not starts,
            f"{len(starts)} unspent spares are what a warm start was trained on ({some(sorted(starts))}), and would be "
            "in the model; keep them out of the reserve",
        )
        for part in (reserve.spares, test, unseen):
            if part is not None:
                problems.extend(trained.task.problems_with(part))
        problems.require(unseen is None or len(unseen) > 0, "unseen has no samples; leave it out, or give some")
        known = set() if unseen is None else (inside | set(reserve.spares.ids)).intersection(unseen.ids)
        problems.require(
            not known, f"{len(known)} of unseen are training samples or spares ({some(sorted(known))}); leave them out"
        )
        problems.require(
            (triage is None) == (safer is None),
            "triage and safer belong together: give both, e.g. safer=SaferRoad(unlearner=Retrain()), or neither",
        )
        problems.require(
            consolidation is None or not trained.shards,
            "a model in shards is retrained in part at each request anyway; leave consolidation out",
        )
        problems.raise_any()
        self.trained = trained
        self.samples = samples
        self.reserve = reserve
        self.unlearner = unlearner
        self.healer = healer
        self.test = test
        self.unseen = unseen
        self.tolerance = tolerance
        self.look_for_copies = look_for_copies
        self.triage = triage
        self.safer = safer
        self.consolidation = consolidation
        self.callbacks = callbacks
        self._when_fitted: Evaluation | None = None
        self._note_how_whole()
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
                and samples that were never seen stand in.
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
        due = self._consolidation_due()
        if due:
            unlearner, healer = Retrain(), None
        if unlearner is not self.unlearner:
            unlearner.check(self.trained, self.samples, wanted)
        forgotten, retain = self.samples.only(wanted), self.samples.without(wanted)
        twins = self._match(healer, forgotten, retain, withdrawn)
        copies = self._copies(forgotten, retain)
        left, spares = self._left_over(twins, withdrawn, healer)
        held_out = self._first_comparable(forgotten, left, self.test, self.unseen)
        remaining = len(left) + len(spares if spares is not None else ())
        fair = is_fair(remaining, len(self.reserve.spares) - remaining)
        # Once matching has taken the typical spares, others show better what was never seen.
        unseen = self._first_comparable(forgotten, self.unseen, left if fair else None, self.test, left)
        if unseen is None:
            raise BadInputError("cannot audit what would come of this request", [NOTHING_UNSEEN])

        unlearned = unlearner.unlearn(self.trained, self.samples, wanted, callbacks=self.callbacks)
        healed = unlearned = _with_details(unlearned, assessment, due)
        if healer:
            healed = self._heal(healer, unlearned, forgotten, retain, twins, held_out, spares)
        verdict = audit(
            healed,
            forgotten=forgotten,
            test=self.test if self.test is not None else unseen,
            gold=gold,
            original=self.trained,
            unseen=unseen,
            tolerance=self.tolerance,
        )
        if unseen is left and not fair:
            verdict = replace(verdict, note=f"{verdict.note} {LEFT_OVER}".strip())

        # Everything has succeeded: only now does anything change.
        # A healer may draw more spares than the twins, or find the model whole and train on none.
        learned = set(healed.ids) - set(unlearned.ids)
        drawn = [i for i in (spares.ids if spares is not None else ()) if i in learned]
        if twins is not None and learned:
            self.reserve.spend(twins, beside=drawn, request=request)
        if withdrawn:
            self.reserve.withdraw(withdrawn, request=request)
        self.trained = healed
        fresh = [*twins.fresh, *drawn] if twins is not None and learned else []
        self.samples = retain + self.reserve.spares.only(fresh) if fresh else retain
        self._note_how_whole()
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

    def _road(self, assessment: Assessment | None, reviewed: bool) -> tuple[Unlearner, HealingMethod | None]:
        """With what the request is honoured."""
        if self.safer is None or assessment is None or assessment.road == "ordinary":
            return self.unlearner, self.healer
        if self.safer.review and not reviewed:
            raise NeedsReviewError(assessment)
        return self.safer.unlearner or self.unlearner, self.safer.healer or self.healer

    def _consolidation_due(self) -> str | None:
        """Why the model is better trained anew, or None."""
        if self.consolidation is None:
            return None
        held_out = self.test if self._when_fitted is not None else None
        return self.consolidation.due(self.trained, held_out=held_out, reference=self._when_fitted)

    def _note_how_whole(self) -> None:
        """Keep what a model that was just trained makes of the test samples: drift is measured from there."""
        if self.consolidation is not None and self.test is not None and not Wear.of(self.trained).requests:
            self._when_fitted = self.trained.evaluate(self.test)

    def _heal(
        self,
        healer: HealingMethod,
        unlearned: Trained,
        forgotten: Samples,
        retain: Samples,
        twins: Twins | None,
        held_out: Samples | None,
        spares: Samples | None,
    ) -> Trained:
        """Give the healer what it needs, and no more."""
        return healer.heal(
            unlearned,
            retain=retain if healer.uses_retain else None,
            twins=twins.samples if twins is not None else None,
            before=self.trained if healer.needs_before else None,
            held_out=held_out if healer.needs_held_out else None,
            forgotten=forgotten if healer.needs_forgotten else None,
            spares=spares if healer.draws_spares else None,
            callbacks=self.callbacks,
        )

    def _let_through(self, content: Samples, at_hand: Container[str]) -> list[str]:
        """The ids of the samples that content is of."""
        waiting = self.reserve.spares.only([i for i in self.reserve.spares.ids if i in at_hand])
        known = self.samples + waiting if len(waiting) else self.samples
        admission = Door(known).admit(content)
        admission.raise_any()
        return list(admission.admitted)

    def _match(
        self, healer: HealingMethod | None, forgotten: Samples, retain: Samples, withdrawn: Sequence[str]
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

    def _left_over(
        self, twins: Twins | None, withdrawn: Sequence[str], healer: HealingMethod | None
    ) -> tuple[Samples, Samples | None]:
        """Spares that stand in for nobody, in two halves where a healer may draw on one of them."""
        # What is nearly the forgotten would be known as well as they are.
        leaving = () if twins is None else (*twins.fresh, *twins.refused)
        unspent = self.reserve.unspent
        left = unspent.without({*withdrawn, *leaving} & set(unspent.ids))
        if healer is not None and healer.draws_spares and len(left) > 1:
            return left.split(reserve=0.5, seed=self.trained.seed)
        return left, None

    def _first_comparable(self, forgotten: Samples, *candidates: Samples | None) -> Samples | None:
        """The first that have some of the forgotten samples' classes."""
        return next((c for c in candidates if c is not None and self._comparable(forgotten, c)), None)

    def _comparable(self, forgotten: Samples, unseen: Samples) -> bool:
        if not len(unseen):
            return False
        labels, others = (self.trained.task.labels(part.targets) for part in (forgotten, unseen))
        return labels is None or others is None or bool(torch.isin(others, labels).any())


def _with_details(unlearned: Trained, assessment: Assessment | None, due: str | None) -> Trained:
    """The model with the screens' word, and why it was trained anew, in the record of how the request was honoured."""
    kept: dict[str, Any] = {} if due is None else {"consolidated": due}
    if assessment is not None:
        said = {"road": assessment.road, "rarity": assessment.rarity, "reasons": list(assessment.reasons)}
        kept["assessment"] = said
    if not kept:
        return unlearned
    *before, last = unlearned.history
    return replace(unlearned, history=(*before, replace(last, details={**last.details, **kept})))
