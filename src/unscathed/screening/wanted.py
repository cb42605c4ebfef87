"""Wanted: a request is suspicious if an adversary would have made it."""

from __future__ import annotations

from typing import Any

from unscathed.adversaries import ParameterView, Ranking
from unscathed.problems import BadInputError
from unscathed.samples import Samples
from unscathed.screening.base import Score, Screen, standardised
from unscathed.training import Trained


class Wanted(Screen):
    """Requests whose samples an adversary that ranks samples would want, on average, more than others.

    Whoever keeps the model knows more than any requester, so the strongest adversary can stand here: with
    `Influential` over the last layer it is the predicted damage.

    Args:
        adversary: values samples; its budget does not matter.
        validation: held-out samples whose loss a parameter-aware adversary would raise; needed for these alone.
        both: whether samples that it wants least are suspicious, too (the most confident ones, say).
    """

    def __init__(self, adversary: Ranking[Any], *, validation: Samples | None = None, both: bool = False) -> None:
        if issubclass(type(adversary).view_type, ParameterView) and validation is None:
            raise BadInputError(
                "cannot screen requests", [f"{adversary!r} aims at validation samples; give validation=…"]
            )
        self.adversary = adversary
        self.validation = validation
        self.both = both
        self.name = f"wanted by {type(adversary).__name__}"

    def __repr__(self) -> str:
        return f"Wanted({self.adversary!r}, both={self.both})"

    def fit(self, trained: Trained, samples: Samples) -> Score:
        """See `Screen.fit`."""
        view = type(self.adversary).view_type.of(trained, samples, validation=self.validation)
        score = standardised(self.adversary.values(view), samples)
        return (lambda request: abs(score(request))) if self.both else score
