"""Memory: is the forgotten still known? A signal that needs no gold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor

from unscathed.audit.intervals import Difference, unpaired
from unscathed.ensemble import EnsembleTask
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training import Callback, Recipe, Trained, fit
from unscathed.training.seeds import derive

Shift = Literal["logit", "added"]

SHORTFALL = 0.05
"""How far a reference's score on the unseen may lie below the model's before unlearning, as a share of the range."""
LONGEST = 0.4
"""Of the original's gradient steps, for a reference that falls short of that."""


@dataclass(frozen=True, kw_only=True)
class MemorySignal:
    """How well a model scores on the forgotten, against what it would score had it never seen them.

    How hard a sample is must be told by something that never saw it: the model before unlearning, and its features,
    have memorised what is to be forgotten, and find it easy. So a reference is trained on the retained samples alone,
    for a tenth of the original's steps. It scores lower than gold, since it is trained for less; by how much, samples
    that neither model ever saw tell. With s the model's mean score and r the reference's, a model that never saw the
    forgotten F scores on them about x, where ``logit x = logit r_F + logit s_U - logit r_U`` and U are unseen samples
    with F's shares of the classes; ``x = r_F + s_U - r_U`` for scores that are no shares (`Task.scores_are_shares`).
    What is above that is memory.

    Training on raises a share in the middle by more than one near 1. To add shares, too (``shift="added"``), can
    therefore find memory in gold; but intervals are narrower, and it finds more where spares are few. Of samples that
    were chosen because the model before unlearning finds them hard, gold's own score is lower than logits say: there
    memory is understated.

    A model that is still broken, and scores lower on the unseen than the reference does, is compared with the
    reference's own score: or the more it was broken, the less it would be let know. Read the signal after healing.

    Args:
        references: models that never saw the forgotten.
        unseen: for each, samples that neither it nor the model saw.
        steps: gradient steps that the references took.
        shift: between what shares are shifted: ``"logit"`` or ``"added"``.
        details: what they rest on, as plain JSON, for a history.
    """

    references: tuple[Trained, ...]
    unseen: tuple[Samples, ...]
    steps: int
    shift: Shift = "logit"
    details: dict[str, object] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        before: Trained,
        *,
        unseen: Samples,
        retain: Samples | None = None,
        share: float = 0.1,
        shift: Shift = "logit",
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> MemorySignal:
        """Train what tells how hard a sample is.

        Args:
            before: the model before unlearning, whose task and recipe the reference takes.
            unseen: samples that it was never trained on (unspent spares); twins among them that a model is healed on
                are left out when it is asked about.
            retain: the samples that stay. Where they are no longer at hand, two references are trained on a half of
                the unseen each, and compared on the other. They see little, and take hard samples for easier than
                they are to gold: memory is then understated, and such a signal serves every request.
            share: of the original's gradient steps that a reference takes; twice as many, and again, up to 0.4, while
                its score on the unseen is far below the model's.
            shift: see `MemorySignal`.
            seed: of the references; by default the model's own.
            callbacks: progress.

        Raises:
            BadInputError: the unseen were seen, or are too few, or the retained hold some of them.
        """
        problems = Problems("cannot make a memory signal")
        allowed = get_args(Shift)
        problems.require(shift in allowed, f"shift={shift!r} must be one of {', '.join(map(repr, allowed))}")
        problems.require(0 < share <= 1, f"share={share} must be a share of the original's steps, 0 < share ≤ 1")
        problems.require(
            len(unseen) >= (2 if retain is None else 1), f"{len(unseen)} unseen samples are too few; give more spares"
        )
        seen = set(before.ids) & set(unseen.ids)
        problems.require(not seen, f"{len(seen)} of the unseen were trained on; give unspent spares")
        if retain is not None:
            problems.require(len(retain) > 0, "there are no retained samples; give some, or None")
            both = set(retain.ids) & set(unseen.ids)
            problems.require(not both, f"{len(both)} of the unseen are retained samples; give unspent spares")
        problems.raise_any()
        task = before.task.task if isinstance(before.task, EnsembleTask) else before.task
        seed = derive(before.seed if seed is None else seed, "memory")

        def trained_on(samples: Samples, recipe: Recipe, number: int) -> Trained:
            own = derive(seed, number)
            return fit(task, samples, recipe, seed=own, callbacks=callbacks, what="how hard samples are")

        if retain is None:
            order = torch.randperm(len(unseen), generator=torch.Generator().manual_seed(seed))
            halves = tuple(unseen.at(part.sort().values) for part in order.tensor_split(2))
            references = tuple(trained_on(part, before.recipe, number) for number, part in enumerate(halves))
            steps = sum(reference.history[0].steps for reference in references)
            return cls(
                references=references,
                unseen=halves[::-1],
                steps=steps,
                shift=shift,
                details={"references": "spares", "steps": steps},
            )
        whole, least = before.recipe.total_steps(len(retain)), before.score(unseen) - SHORTFALL * task.score_range
        length, steps = share * whole, 0
        while True:
            reference = trained_on(retain, before.recipe.lasting(steps=max(1, round(length))), 0)
            steps += reference.history[0].steps
            if reference.score(unseen) >= least or 2 * length > LONGEST * whole:
                break
            length *= 2
        shortfall = before.score(unseen) - reference.score(unseen)
        details = {"references": "retained", "steps": steps, "shortfall": round(shortfall, 4)}
        return cls(references=(reference,), unseen=(unseen,), steps=steps, shift=shift, details=details)

    def of(self, model: Trained, forgotten: Samples) -> Difference:
        """The model's mean score on the forgotten against what it would score had it never seen them.

        Args:
            model: healed, as a rule.
            forgotten: the samples; no reference may have seen them.

        Returns:
            Scores and a 95 % interval of their difference, over samples (of the chance in training the reference it
            knows nothing). An interval above 0 is memory. One below 0 is none, or samples that are harder for the model
            than for the reference.

        Raises:
            BadInputError: there is nothing to compare, or a reference was trained on some of the forgotten.
        """
        problems = Problems("cannot tell memory")
        problems.require(len(forgotten) > 0, "there are no forgotten samples")
        known = {i for r in self.references for i in r.ids} & set(forgotten.ids)
        problems.require(
            not known, f"the reference was trained on {len(known)} of the forgotten; fit the signal on what is retained"
        )
        left = self._left(model)
        problems.require(
            all(len(part) for part in left), "the model has seen all that was unseen; hold back more spares"
        )
        problems.raise_any()
        pairs = list(zip(self.references, left, strict=True))
        ours = model.evaluate(forgotten).scores
        hard = torch.stack([reference.evaluate(forgotten).scores for reference in self.references]).mean(dim=0)
        theirs = torch.cat([model.evaluate(part).scores for part in left])
        unseen_hard = torch.cat([reference.evaluate(part).scores for reference, part in pairs])
        weights = torch.cat([w / w.sum() for w in (_class_weights(model.task, forgotten, part) for part in left)])
        shares = model.task.scores_are_shares and self.shift == "logit"
        return _excess(ours, hard, theirs, unseen_hard, weights, shares=shares)

    def utility(self, model: Trained) -> float:
        """The model's mean score on what it never saw."""
        return float(torch.cat([model.evaluate(part).scores for part in self._left(model)]).mean())

    def _left(self, model: Trained) -> list[Samples]:
        """What the model never saw, twins that it was healed on left out."""
        inside = set(model.ids)
        gone = [inside & set(part.ids) for part in self.unseen]
        return [part.without(ids) if ids else part for part, ids in zip(self.unseen, gone, strict=True)]


def _excess(
    ours: Tensor, hard: Tensor, theirs: Tensor, unseen_hard: Tensor, weights: Tensor, *, shares: bool
) -> Difference:
    """The mean score on the forgotten against the expected one, with the delta method's interval.

    Args:
        ours: the model's scores on the forgotten, [n].
        hard: the reference's, [n].
        theirs: the model's on the unseen, [m].
        unseen_hard: the reference's, [m].
        weights: of the unseen, [m].
        shares: whether shifts are made between logits.
    """
    value, reference = float(ours.mean()), float(hard.mean())
    weights = weights / weights.sum()
    unseen, unseen_reference = (float((weights * part).sum()) for part in (theirs, unseen_hard))
    slopes, expected = [1.0, 1.0, 1.0], reference + unseen - unseen_reference
    if unseen <= unseen_reference:
        slopes, expected = [1.0, 0.0, 0.0], reference
    elif shares:
        effective = 1 / float(weights.square().sum())
        # Half a sample more that is right and half that is wrong keep logits finite.
        parts = [(reference, len(hard)), (unseen, effective), (unseen_reference, effective)]
        smooth = [(p * n + 0.5) / (n + 1) for p, n in parts]
        logits = [math.log(p / (1 - p)) for p in smooth]
        expected = 1 / (1 + math.exp(-(logits[0] + logits[1] - logits[2])))
        slopes = [expected * (1 - expected) / (p * (1 - p)) for p in smooth]
    of, model, by = slopes
    found = unpaired(ours - of * hard, model * theirs - by * unseen_hard, weights)
    reach = (found.high - found.low) / 2
    return Difference(value, expected, value - expected - reach, value - expected + reach)


def shows(found: Difference, task: Task, tolerance: float) -> bool:
    """Whether there is memory: more than is tolerated, and more than chance.

    Args:
        found: what `MemorySignal.of` says.
        task: whose scores they are.
        tolerance: as a share of the scores' range.
    """
    return found.difference > tolerance * task.score_range and found.low > 0


def _class_weights(task: Task, forgotten: Samples, unseen: Samples) -> Tensor:
    """Weights that give the classes of unseen samples the shares that they have among the forgotten, [m].

    Where none is of a forgotten sample's class, all count alike.
    """
    labels, others = task.labels(forgotten.targets), task.labels(unseen.targets)
    if labels is None or others is None:
        return torch.ones(len(unseen))
    count = int(max(labels.max(), others.max())) + 1
    ours, theirs = (torch.bincount(part, minlength=count).float() for part in (labels, others))
    weights = (ours / theirs.clamp_min(1))[others]
    return weights if float(weights.sum()) > 0 else torch.ones(len(unseen))
