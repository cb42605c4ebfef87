"""Forgetting events: samples that the model learned, and lost again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unscathed.adversaries.base import Ranking
from unscathed.adversaries.views import BlindView, OutputView


class ForgettingEvents(Ranking[OutputView]):
    """Asks for the samples that the model got right and then wrong again most often: it barely holds on to them.

    It has to have looked before. Each earlier look is a view of the model as it then was, and costs queries of that
    view. `fit_watched` makes such views, of a model while it is trained: the adversary's own, unless it is an insider
    who watches the very model that it attacks. A model that is served and updated can be watched from outside.

    Samples that were never right come first; of those lost equally often, the one that was wrong more often.

    Args:
        budget: see `Adversary`.
        earlier: views of the model as it was, oldest first; the view that it chooses by comes last.

    Raises:
        BadInputError: (when it chooses) it never looked before.

    Source: Toneva et al. 2019, "An Empirical Study of Example Forgetting during Deep Neural Network Learning",
    section 3 (there at each batch; here at each look).
    """

    view_type = OutputView
    works_from_labels = True

    def __init__(self, budget: float | int = 0.05, *, earlier: Sequence[OutputView]) -> None:
        super().__init__(budget)
        self.earlier = tuple(earlier)

    def __repr__(self) -> str:
        return f"ForgettingEvents(budget={self.budget}, earlier=<{len(self.earlier)} views>)"

    def _lacks(self, view: BlindView) -> list[str]:
        lacking = [] if self.earlier else ["it never looked at the model before; give it views in earlier=…"]
        looks = [look for look in (*self.earlier, view) if isinstance(look, OutputView)]
        if not all(look.predicts_classes for look in looks):
            lacking.append("it needs answers that are right or wrong, and the model predicts no classes")
        return lacking

    def values(self, view: OutputView) -> Tensor:
        """How often each sample was lost, and between 0 and 1 for how often it was wrong, float32 [n].

        Infinite for what was never right.
        """
        samples = view.samples
        targets = view.labels(samples.targets)
        assert targets is not None
        right = torch.stack([_predicted(look, view) == targets.cpu() for look in (*self.earlier, view)])
        lost = (right[:-1] & ~right[1:]).sum(dim=0)
        values = lost + (~right).sum(dim=0) / (len(right) + 1)
        values[~right.any(dim=0)] = torch.inf
        return values


def _predicted(look: OutputView, view: OutputView) -> Tensor:
    """The classes that the model predicted at this look, for the samples of the last view, int64 [n]."""
    outputs = look.outputs(view.samples)
    return outputs if look.labels_only else outputs.argmax(dim=-1)
