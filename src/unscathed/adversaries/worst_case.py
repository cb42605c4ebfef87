"""Worst-case forget sets: the choice of samples that an unlearning made of sign steps does worst on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.func import grad

from unscathed.adversaries.base import Adversary
from unscathed.adversaries.views import ParameterView
from unscathed.curvature import ModelFunction
from unscathed.curvature.functional import Parameters
from unscathed.problems import BadInputError, Problems
from unscathed.samples import Batch, Samples
from unscathed.training.seeds import generator
from unscathed.unlearners.saliency import random_labels

Aim = Literal["erasure", "utility"]


class WorstCase(Adversary[ParameterView]):
    """Searches for the set on which approximate unlearning fails, by going through unlearning again and again.

    A relaxed choice ``w ∈ [0, 1]ⁿ`` with ``Σ_i w_i = k`` is improved in rounds. The lower level unlearns from the
    original, by sign steps down ``Σ_i w_i ℓ⁻(θ; z_i) + (1 - w_i) ℓ(θ; z_i)``. The upper level moves w by sign steps,
    and back onto the k that may be had. After each round the k largest are unlearned as a set, and what is asked for in
    the end is the set of the round that did best: steps of signs overshoot, and the last need not be it.

    With ``aim="erasure"``, ``ℓ⁻`` is the loss of random labels of other classes (the loss itself, negative, where a
    task has no classes), and w goes down ``Σ_i w_i ℓ(θ_u(w); z_i)``: what was unlearned shall still be known. A sign
    does not change with w, so that the unlearned θ_u has no derivative in w, and the gradient is exactly
    ``ℓ(θ_u; z_i)``.

    With ``aim="utility"``, ``ℓ⁻ = -ℓ``, and w climbs the validation loss of θ_u, where that gradient would be zero. So
    signs are differentiated as if they were not there (straight through), at the last step alone; up to a factor, the
    slope is ``∇L_val(θ_u) · ∇ℓ(θ_u; z_i)``. That is `ParameterAware`'s product, taken where unlearning has led to: a
    guess at a direction, not a derivative.

    Args:
        budget: see `Adversary`.
        aim: what shall fail: ``"erasure"`` (the source's) or ``"utility"``.
        rounds: how often w is moved.
        epochs: passes over the samples that the lower level makes in each.
        learning_rate: how far a sign step moves each parameter.
        step: how far a round moves each w_i at most, before the first; it shrinks linearly to nothing.
        seed: of random labels and the order of batches.

    Raises:
        BadInputError: also if all samples are of one class, and random labels are needed.

    Source: Fan et al. 2024, "Challenging Forgets: Unveiling the Worst-Case Forget Sets in Machine Unlearning"
    (without their penalty ``λ ‖w‖²``: our steps on w are signs too, relative to the k-th smallest slope; the
    aim ``"utility"`` is our own).
    """

    view_type = ParameterView

    def __init__(
        self,
        budget: float | int = 0.05,
        *,
        aim: Aim = "erasure",
        rounds: int = 10,
        epochs: int = 1,
        learning_rate: float = 3e-3,
        step: float = 0.2,
        seed: int = 0,
    ) -> None:
        super().__init__(budget)
        problems = Problems("cannot use WorstCase")
        kinds = get_args(Aim)
        problems.require(aim in kinds, f"aim={aim!r} must be one of {', '.join(map(repr, kinds))}")
        for name, value in (("rounds", rounds), ("epochs", epochs)):
            problems.require(value >= 1, f"{name}={value} must be at least 1")
        for name, size in (("learning_rate", learning_rate), ("step", step)):
            problems.require(size > 0, f"{name}={size} must be positive")
        problems.raise_any()
        self.aim = aim
        self.rounds = rounds
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.step = step
        self.seed = seed

    def __repr__(self) -> str:
        return (
            f"WorstCase(budget={self.budget}, aim={self.aim!r}, rounds={self.rounds}, epochs={self.epochs}, "
            f"learning_rate={self.learning_rate}, step={self.step}, seed={self.seed})"
        )

    def _choose(self, view: ParameterView, count: int) -> tuple[str, ...]:
        function = view.function()
        # Samples may come sorted by class, and a step must see some of each.
        order = torch.randperm(len(view.samples), generator=generator(self.seed, "batches"))
        samples = view.samples.at(order)
        relabelled = self._relabelled(function, samples) if self.aim == "erasure" else None
        chosen = torch.full((len(samples),), count / len(samples), dtype=torch.float64)
        best, least = torch.arange(0), float("inf")
        for number in range(self.rounds):
            unlearned = self._unlearned(view, function, samples, relabelled, chosen)
            slope = self._slope(unlearned, samples, view.validation)
            # All of w_i moving together moves nothing: the signs are of slopes less one that k samples are below.
            level = slope.kthvalue(count).values
            size = self.step * (1 - number / self.rounds)
            chosen = onto_choices(chosen - size * torch.where(slope <= level, -1.0, 1.0), count)
            # Of equal w_i, those with the lower slopes come first.
            order = slope.argsort(stable=True)
            asked = order[chosen[order].argsort(descending=True, stable=True)][:count]
            alone = torch.zeros_like(chosen)
            alone[asked] = 1
            cost = self._objective(
                self._unlearned(view, function, samples, relabelled, alone), samples.at(asked), view.validation
            )
            if cost < least or not len(best):
                best, least = asked, cost
        return tuple(samples.ids[p] for p in best.tolist())

    def _unlearned(
        self,
        view: ParameterView,
        function: ModelFunction,
        samples: Samples,
        relabelled: Samples | None,
        chosen: Tensor,
    ) -> ModelFunction:
        unlearned = view.function()
        unlearned.parameters = self._unlearn(function, samples, relabelled, chosen)
        return unlearned

    def _objective(self, unlearned: ModelFunction, asked: Samples, validation: Samples) -> float:
        """What is to become small, of a model that unlearned a set: how badly it is known, or how well all else is."""
        measured = asked if self.aim == "erasure" else validation
        with torch.no_grad():
            losses = [unlearned.losses(unlearned.parameters, batch) for batch in unlearned.batches(measured)]
        mean = float(torch.cat(losses).double().mean())
        return mean if self.aim == "erasure" else -mean

    def _relabelled(self, function: ModelFunction, samples: Samples) -> Samples | None:
        labels = function.task.labels(samples.targets)
        if labels is not None and len(torch.unique(labels)) == 1:
            raise BadInputError("cannot attack with WorstCase", ["all samples are of one class: there are no others"])
        return random_labels(function.task, samples, samples, generator(self.seed, "random labels"))

    def _unlearn(
        self, function: ModelFunction, samples: Samples, relabelled: Samples | None, chosen: Tensor
    ) -> Parameters:
        """θ_u(w), from the original's parameters by sign steps."""

        def objective(parameters: Parameters, batch: Batch, wrong: Batch | None, weights: Tensor) -> Tensor:
            outputs = function.outputs(parameters, batch)
            own = function.task.losses(outputs, batch)
            other = -own if wrong is None else function.task.losses(outputs, wrong)
            return (weights * other + (1 - weights) * own).mean()

        parameters = dict(function.parameters)
        for _ in range(self.epochs):
            for batch, wrong, weights in _together(function, samples, relabelled, chosen):
                slopes = grad(objective)(parameters, batch, wrong, weights)
                parameters = {name: p - self.learning_rate * slopes[name].sign() for name, p in parameters.items()}
        return parameters

    def _slope(self, unlearned: ModelFunction, samples: Samples, validation: Samples) -> Tensor:
        """The gradient in w of what is to become small, float64 [n]."""
        if self.aim == "erasure":
            with torch.no_grad():
                losses = [unlearned.losses(unlearned.parameters, batch) for batch in unlearned.batches(samples)]
            return torch.cat(losses).double().cpu()
        return -unlearned.directional_derivatives(samples, unlearned.mean_gradient(validation)).double()


def onto_choices(point: Tensor, count: int) -> Tensor:
    """The nearest point with values in 0…1 that sum to a number: ``clip(point - μ)`` with the right μ, by bisection.

    Args:
        point: [n].
        count: the sum, at most n.
    """
    low, high = float(point.min()) - 1, float(point.max())
    while (middle := (low + high) / 2) not in (low, high):
        if float((point - middle).clamp(0, 1).sum()) > count:
            low = middle
        else:
            high = middle
    return (point - high).clamp(0, 1)


def _together(
    function: ModelFunction, samples: Samples, relabelled: Samples | None, chosen: Tensor
) -> Iterator[tuple[Batch, Batch | None, Tensor]]:
    """Batches of samples, the same under other labels, and their weights."""
    parts = torch.split(chosen, function.batch_size)
    others = iter(function.batches(relabelled)) if relabelled is not None else None
    for batch, weights in zip(function.batches(samples), parts, strict=True):
        wrong = next(others) if others is not None else None
        placed = weights.to(torch.float32 if batch.inputs.device.type == "mps" else weights.dtype)
        yield batch, wrong, placed.to(batch.inputs.device)
