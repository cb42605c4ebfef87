"""The running account of a certified model: how much of its (ε, δ) budget has been spent, and on what."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from unscathed.problems import BadInputError
from unscathed.training import Trained

KEY = "certificate"
"""Under which an event's details hold an entry, and a model's checkpoints the state that the account needs."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a certified model owed after one training or removal.

    Args:
        residual: ``‖u‖``, the exact norm of the perturbed objective's gradient.
        budget: the largest norm that the certificate covers, ``σ ε / c``.
        epsilon: the ε that this residual stands for, at the certificate's δ.
        retrained: why the model was trained afresh; None where a step was taken.
        settings: ε, δ, σ and λ.
    """

    residual: float
    budget: float
    epsilon: float
    retrained: str | None
    settings: dict[str, float]

    def details(self) -> dict[str, Any]:
        """This entry as an event's details."""
        return {KEY: asdict(self)}


@dataclass(frozen=True)
class Account:
    """What the history of a model says of its certificate.

    Args:
        entries: one a training or removal, oldest first.
        void: why there is no certificate any more; None where it holds.
    """

    entries: tuple[Entry, ...]
    void: str | None

    @classmethod
    def of(cls, trained: Trained) -> Account:
        """Read a model's account off its history.

        Raises:
            BadInputError: the model never had a certificate.
        """
        if not is_certified(trained):
            raise BadInputError(
                "cannot read the account", ["the model has no certificate; train it with CertifiedRemoval(…).fit(…)"]
            )
        entries = tuple(Entry(**e.details[KEY]) for e in trained.history if KEY in e.details)
        last = trained.history[-1]
        void = None if KEY in last.details else f"the model was {last.kind} by {last.by} since"
        return cls(entries, void)

    def __str__(self) -> str:
        if self.void:
            return f"no certificate: {self.void}"
        return (
            f"({self.last.settings['epsilon']:g}, {self.last.settings['delta']:g})-certified after {self.requests} "
            f"requests: {self.spent:.3g} of the budget is spent"
        )

    @property
    def last(self) -> Entry:
        """The newest entry."""
        return self.entries[-1]

    @property
    def requests(self) -> int:
        """Removals since the model was last trained."""
        since = 0
        for entry in reversed(self.entries[1:]):
            if entry.retrained is not None:
                break
            since += 1
        return since

    @property
    def spent(self) -> float:
        """The share of the budget that is spent."""
        return self.last.residual / self.last.budget

    @property
    def left(self) -> float:
        """The norm of the gradient that could still be owed; 0 where the certificate is void."""
        return 0.0 if self.void else self.last.budget - self.last.residual


def is_certified(trained: Trained) -> bool:
    """Whether a model was trained with a certificate (which may be void by now)."""
    return KEY in trained.checkpoints and any(KEY in e.details for e in trained.history)
