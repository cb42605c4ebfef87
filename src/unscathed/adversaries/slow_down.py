"""Slow-down: adversaries whose requests cost the most, whatever they do to the model's answers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, zip_longest

from unscathed.adversaries.base import Adversary
from unscathed.adversaries.views import BlindView
from unscathed.problems import BadInputError
from unscathed.samples import Samples
from unscathed.training import Trained


class LayoutView(BlindView):
    """Knows in which shard and slice each of its samples is trained, and nothing else of the model.

    Args:
        trained: the model attacked.
        samples: the samples whose removal it may request.
        owners: see `BlindView`.
    """

    __slots__ = ("layout",)

    layout: tuple[tuple[tuple[str, ...], ...], ...]
    """Ids of its own samples by shard and slice; empty for a model without shards."""

    def __init__(self, trained: Trained, samples: Samples, *, owners: Mapping[str, str | None] | None = None) -> None:
        super().__init__(samples, owners=owners)
        own = set(samples.ids)
        self.layout = tuple(tuple(tuple(i for i in part if i in own) for part in shard) for shard in trained.shards)

    @classmethod
    def of(
        cls,
        trained: Trained,
        samples: Samples,
        *,
        validation: Samples | None = None,
        owners: Mapping[str, str | None] | None = None,
    ) -> BlindView:
        """See `BlindView.of`."""
        return cls(trained, samples, owners=owners)


class EarliestSlices(Adversary[LayoutView]):
    """Asks a model in shards for samples of the first slices, a shard at a time, so that everything is trained again.

    A request with one sample of each shard's first slice costs as much as training from scratch, however many others
    it names; and asked for one at a time, each such sample costs a whole shard. So the first ones are spread over the
    shards, and later slices come only once the earlier ones are used up.

    Args:
        budget: see `Adversary`.

    Source: Bourtoule et al. 2021, "Machine Unlearning", section V, on what requests cost; slow-down attacks:
    Marchant et al. 2022, "Hard to Forget: Poisoning Attacks on Certified Machine Unlearning".
    """

    view_type = LayoutView

    def __init__(self, budget: float | int = 0.05) -> None:
        super().__init__(budget)

    def __repr__(self) -> str:
        return f"EarliestSlices(budget={self.budget})"

    def _choose(self, view: LayoutView, count: int) -> tuple[str, ...]:
        if not view.layout:
            raise BadInputError(
                "cannot attack with EarliestSlices",
                ["the model was not trained in shards: all requests cost it about the same"],
            )
        # A column of slices at a time, and in it one sample of each shard in turn.
        wanted = (
            i
            for column in zip_longest(*view.layout, fillvalue=())
            for i in chain.from_iterable(zip_longest(*column))
            if i is not None
        )
        return tuple(i for _, i in zip(range(count), wanted, strict=False))
