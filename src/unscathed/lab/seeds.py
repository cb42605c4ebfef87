"""Seeds of an experiment: one for each purpose, all derived from the one that the file gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from unscathed.training.seeds import derive

MOST = 2**32
"""scikit-learn's splits take no larger seed."""


@dataclass(frozen=True)
class Seeds:
    """What is random in an experiment, each with a seed of its own: changing one changes nothing else.

    Args:
        split: which samples are held back.
        training: initialisation, batch order, augmentation and dropout (`fit` derives one for each).
        adversary: what a random requester asks for.
        unlearner: noise and subsamples of unlearning.
        healing: batch order of healing.
    """

    split: int
    training: int
    adversary: int
    unlearner: int
    healing: int

    @classmethod
    def of(cls, seed: int, fixed: Mapping[str, int] | None = None) -> Seeds:
        """All seeds derived from one, but those that are fixed."""
        derived = {purpose: derive(seed, "lab", purpose) % MOST for purpose in PURPOSES}
        return cls(**{**derived, **(fixed or {})})


PURPOSES = tuple(field.name for field in fields(Seeds))
