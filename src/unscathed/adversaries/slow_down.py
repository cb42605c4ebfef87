"""Slow-down: adversaries whose requests cost the most, whatever they do to the model's answers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, zip_longest

from torch import Tensor

from unscathed.adversaries.base import Adversary, Ranking
from unscathed.adversaries.views import BlindView, ParameterView, check_last_layer
from unscathed.problems import Problems
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

    def _lacks(self, view: BlindView) -> list[str]:
        assert isinstance(view, LayoutView)
        return [] if view.layout else ["the model was not trained in shards: all requests cost it about the same"]

    def _choose(self, view: LayoutView, count: int) -> tuple[str, ...]:
        # A column of slices at a time, and in it one sample of each shard in turn.
        wanted = (
            i
            for column in zip_longest(*view.layout, fillvalue=())
            for i in chain.from_iterable(zip_longest(*column))
            if i is not None
        )
        return tuple(i for _, i in zip(range(count), wanted, strict=False))


class CertificateBreaking(Ranking[ParameterView]):
    """Asks a certified model for the samples whose removal spends its budget soonest, so that it is retrained.

    `CertifiedRemoval` takes a Newton step and owes what the step leaves of the gradient, which is of second order in
    how far the minimum moves. So the samples that move it furthest, in the metric of the loss, come first: those with
    the largest ``∇ℓ_iᵀ H⁻¹ ∇ℓ_i``.

    Args:
        budget: see `Adversary`.
        regularisation: λ of the certified model.

    Raises:
        BadInputError: also if the model does not end with a linear layer over which the loss is convex, or that layer
            has more weights than a Hessian is formed for.

    Source: Marchant et al. 2022, "Hard to Forget: Poisoning Attacks on Certified Machine Unlearning" (there by inputs
    that are crafted; here by choice among what was trained on).
    """

    view_type = ParameterView

    def __init__(self, budget: float | int = 0.05, *, regularisation: float = 1e-2) -> None:
        super().__init__(budget)
        problems = Problems("cannot use CertificateBreaking")
        problems.require(regularisation > 0, f"regularisation={regularisation} must be positive")
        problems.raise_any()
        self.regularisation = regularisation

    def __repr__(self) -> str:
        return f"CertificateBreaking(budget={self.budget}, regularisation={self.regularisation})"

    def values(self, view: ParameterView) -> Tensor:
        """How far the minimum moves without each sample, [n]."""
        check_last_layer(self, view)
        layer = view.last_layer(view.samples, self.regularisation)
        return layer.leverages(layer.current()).cpu()
