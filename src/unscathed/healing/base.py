"""What whoever heals has in common: what it needs, and what it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from unscathed.samples import Samples
from unscathed.training import Callback, Trained


class HealingMethod(ABC):
    """A way of making an unlearned model whole. Subclasses say what they need, and are given no more than that."""

    @property
    def uses_twins(self) -> bool:
        """Whether it trains on twins."""
        return True

    @property
    def uses_retain(self) -> bool:
        """Whether it trains on retained samples."""
        return True

    @property
    def needs_before(self) -> bool:
        """Whether it asks the model before unlearning."""
        return False

    @property
    def needs_held_out(self) -> bool:
        """Whether it looks at samples that are not healed on."""
        return False

    @property
    def needs_forgotten(self) -> bool:
        """Whether it looks at the forgotten, to see that they stay so; nothing is ever healed on them."""
        return False

    @property
    def draws_spares(self) -> bool:
        """Whether it may train on more spares than the twins; those are in the healed model's ids, and are spent."""
        return False

    @property
    def brings(self) -> tuple[str, ...]:
        """The ids of samples that may be in the healed model though nobody gave them: a warm start's."""
        return ()

    @abstractmethod
    def heal(
        self,
        unlearned: Trained,
        *,
        retain: Samples | None = None,
        twins: Samples | None = None,
        before: Trained | None = None,
        held_out: Samples | None = None,
        forgotten: Samples | None = None,
        spares: Samples | None = None,
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Trained:
        """Heal a model; returns a new one, in which all that it was healed on are training samples.

        Args:
            unlearned: the model; it is not changed.
            retain: the samples that stay; None where they are no longer at hand.
            twins: the spares that stand in for what was forgotten; None or none where the reserve is spent. They may be
                training data already, where spent ones are used again.
            before: the model before unlearning.
            held_out: samples that no model was trained on, and that this one is not healed on.
            forgotten: what was forgotten.
            spares: unspent spares besides the twins, none of them held out.
            seed: of whatever is drawn at random; by default the model's own.
            callbacks: progress.

        Raises:
            BadInputError: what this method needs is missing, or is not the model's.
        """


def steps_since(model: Trained, later: Trained) -> int:
    """The gradient steps that made a later model of one: those of the events that its history has more."""
    return sum(event.steps for event in later.history[len(model.history) :])
