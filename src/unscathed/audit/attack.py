"""Attack: asks of each sample by itself whether a model was trained on it, with shadow models to compare with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor

from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Evaluation, ShadowMargins, Shadows, Trained


class Observations(NamedTuple):
    """What an attack sees of some samples.

    Args:
        model: what the attacked model makes of them.
        shadows: what shadow models do.
    """

    model: Evaluation
    shadows: ShadowMargins

    @classmethod
    def of(cls, trained: Trained, shadows: Shadows, samples: Samples) -> Observations:
        """Evaluate the model and its shadows."""
        return cls(trained.evaluate(samples), ShadowMargins.of(shadows, samples))


class Attack(ABC):
    """Scores each sample for how much a model looks as if it was trained on it, beyond what models do that were not.

    *Online*, an attack compares with shadow models that were trained on the sample and with some that were not;
    *offline* with the latter alone, so that shadow models serve for samples that came after them as well.
    """

    name: ClassVar[str]
    """What the field calls it."""
    online: bool

    def __str__(self) -> str:
        return self.name if self.online else f"offline {self.name}"

    @abstractmethod
    def scores(self, asked: Observations, unseen: Observations) -> tuple[Tensor, Tensor]:
        """The scores of some samples, and of others that the attacked model was certainly not trained on.

        Only their order means anything, and only within one call: both are scored by the same rule.

        Args:
            asked: what is seen of the samples, [n].
            unseen: of the others, [m].

        Returns:
            Two float64 tensors, [n] and [m]; the higher, the more likely a member.
        """

    def attack(self, trained: Trained, shadows: Shadows, samples: Samples, *, unseen: Samples) -> tuple[Tensor, Tensor]:
        """Score samples, and unseen ones to compare them with (see `scores`).

        Args:
            trained: the attacked model.
            shadows: trained with its recipe.
            samples: asked about.
            unseen: of the same kind, that the attacked model was not trained on; an online attack needs them among
                the samples that shadow models were drawn from.

        Raises:
            BadInputError: the shadow models say too little of some samples.
        """
        of, others = Observations.of(trained, shadows, samples), Observations.of(trained, shadows, unseen)
        problems = Problems(f"cannot attack with {type(self).__name__}")
        problems.extend(self.problems_with(of.shadows, others.shadows))
        problems.raise_any()
        return self.scores(of, others)

    def problems_with(self, asked: ShadowMargins, unseen: ShadowMargins) -> list[str]:
        """What this attack would need of the shadow models and lacks, one sentence each."""
        found = []
        for name, margins in (("asked about", asked), ("unseen", unseen)):
            if not len(margins):
                found.append(f"there are no samples {name}" if margins is asked else "there are no unseen samples")
                continue
            if self.online and not (sides := margins.on_both_sides).all():
                found.append(
                    f"{int((~sides).sum())} of the {len(margins)} samples {name} are on one side of all shadow "
                    "models; an online attack needs each to be inside of some: give them to fit_shadows too, or use "
                    f"{type(self).__name__}(online=False)"
                )
            if not self.online and (inside := margins.inside.all(dim=0)).any():
                found.append(f"{int(inside.sum())} of the samples {name} are inside of all shadow models")
        return found
