"""Memorised: the samples that models know by heart, where they know them."""

from __future__ import annotations

from torch import Tensor

from unscathed.adversaries.base import Ranking
from unscathed.adversaries.views import BlindView
from unscathed.training import ShadowMargins, Shadows, most_memorised


class Memorised(Ranking[BlindView]):
    """Asks for the samples that models do best on for having been trained on them: what nothing else would teach them.

    It has never seen the model: shadow models of its own, trained on halves of the samples, tell it which they are.
    Where samples tie, as most do over few models, those whose margins gain most come first.

    Args:
        budget: see `Adversary`.
        shadows: from `fit_shadows`, over the samples that it chooses from (and others, if you like).

    Raises:
        BadInputError: (when it chooses) shadow models are all on one side of a sample.

    Source: Feldman and Zhang 2020, "What Neural Networks Memorize and Why", equation 1.
    """

    def __init__(self, budget: float | int = 0.05, *, shadows: Shadows) -> None:
        super().__init__(budget)
        self.shadows = shadows

    def __repr__(self) -> str:
        return f"Memorised(budget={self.budget}, shadows=<{len(self.shadows.models)} models>)"

    def _lacks(self, view: BlindView) -> list[str]:
        members = [set(model.ids) for model in self.shadows.models]
        known = [len({i in ids for ids in members}) == 2 for i in view.samples.ids]
        if all(known):
            return []
        return [
            f"{known.count(False)} samples are inside or outside of all shadow models; give it shadow models that were "
            "fitted on halves of these samples"
        ]

    def values(self, view: BlindView) -> Tensor:
        """How much better models do on each sample inside than outside; ties are broken by margins, float64 [n]."""
        return most_memorised(ShadowMargins.of(self.shadows, view.samples))
