"""Case: a model to be healed, with all that healing it may use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Recipe, Trained
from unscathed.unlearners.costs import stage_epochs
from unscathed.unlearners.layouts import Layout, flat, without

COLLAPSE = 0.3
"""Beyond which loss of score, as a share of `Task.score_range`, a model counts as collapsed."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a rung has to work with.

    Args:
        unlearned: the model as it was unlearned.
        reached: the best that rungs before have made of it; at first, itself.
        before: the model before unlearning, to compare with; None where it is not kept.
        retain: the samples that stay, none of them among the twins; None where they are not at hand.
        twins: the spares that stand in for the forgotten; None for none.
        seed: of what is drawn at random.
        remembers: whether ``reached`` shows memory of the forgotten.
    """

    unlearned: Trained
    reached: Trained
    before: Trained | None
    retain: Samples | None
    twins: Samples | None
    seed: int
    remembers: bool = False

    @cached_property
    def collapsed(self) -> bool:
        """Whether unlearning took more than `COLLAPSE` of the score range on what is at hand; no, if none can tell."""
        if self.before is None:
            return False
        lost = self.before.score(self.samples) - self.unlearned.score(self.samples)
        return not lost <= COLLAPSE * self.unlearned.task.score_range

    @cached_property
    def samples(self) -> Samples:
        """All that is at hand."""
        if self.retain is None or self.twins is None:
            return self.retain or self.twins  # type: ignore[return-value]
        return self.retain + self.twins

    @cached_property
    def gold_steps(self) -> int:
        """Gradient steps of training from scratch on all that is at hand; the original's, where none is retained."""
        if self.retain is None:
            return self.unlearned.history[0].steps
        if self.unlearned.shards:
            return sum(stage_steps(self, range(len(self.unlearned.shards[0]))))
        return self.unlearned.recipe.total_steps(len(self.samples))

    @cached_property
    def layout(self) -> Layout:
        """The shards and slices, less what is not at hand; new twins join the last slice of the smallest shards."""
        at_hand = set(self.samples.ids)
        shards = [list(s) for s in without(self.unlearned.shards, set(flat(self.unlearned.shards)) - at_hand)]
        placed = {i for slices in shards for part in slices for i in part}
        for twin in self.samples.ids:
            if twin not in placed:
                smallest = min(shards, key=lambda slices: sum(map(len, slices)))
                smallest[-1] = (*smallest[-1], twin)
        return tuple(tuple(slices) for slices in shards)

    def problems(self) -> Problems:
        """What keeps it from being healed."""
        problems = Problems("cannot heal by rungs")
        problems.require(
            self.retain is not None or self.twins is not None, "there is nothing to heal on; give retain=… or twins=…"
        )
        problems.require(bool(self.unlearned.history), "the model has no history to take gold's price from")
        foreign = set() if self.retain is None else set(self.retain.ids) - set(self.unlearned.ids)
        problems.require(
            not foreign,
            f"{len(foreign)} retained samples are not in the model: healing on them would teach what was forgotten or "
            "never seen; give what is left after unlearning",
        )
        for part in (self.retain, self.twins):
            if part is not None:
                problems.extend(self.unlearned.task.problems_with(part))
        return problems


def stage_recipe(case: Case) -> Recipe:
    """How each stage of a shard is trained."""
    recipe = case.unlearned.recipe
    assert recipe.epochs is not None  # Sisa counts in epochs
    return recipe.lasting(epochs=stage_epochs(recipe.epochs, len(case.unlearned.shards[0])))


def stage_steps(case: Case, stages: range) -> list[int]:
    """The steps of each shard's stages."""
    recipe = stage_recipe(case)
    seen = [[sum(map(len, slices[: stage + 1])) for stage in stages] for slices in case.layout]
    return [recipe.total_steps(count) for shard in seen for count in shard if count]
