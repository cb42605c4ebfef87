"""Outsiders: they ask to unlearn what was never learned, made so that unlearning it wrecks the model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, grad_and_value

from unscathed.adversaries.crafting import Ball, Crafter, climbed, directions, made_of
from unscathed.adversaries.views import ParameterView, ServiceView
from unscathed.samples import Batch, Samples
from unscathed.training.seeds import generator

MOST_VALIDATION = 512
"""Validation samples whose loss is climbed: each step goes through the unlearning."""


class Outsider(Crafter[ParameterView]):
    """Changes its own samples until gradient ascent on them raises the validation loss most.

    It imagines an unlearner that takes ``ascents`` steps ``θ' = θ + η ∇L(θ; X)`` on what it is asked to forget, X, and
    climbs ``L(θ'; D_val)`` by X, through those steps. It knows neither the true unlearner nor what else that does.

    Args:
        budget, radius, seed: see `Crafter`.
        steps: of the climb.
        learning_rate: η of the imagined unlearner.
        ascents: how many steps that takes.

    Source: Huang et al. 2024, "Unlearn and Burn: Adversarial Machine Unlearning Requests Destroy Model Accuracy", the
    white-box attack.
    """

    view_type = ParameterView

    def __init__(
        self,
        budget: float | int = 0.05,
        *,
        radius: float = 1.0,
        steps: int = 40,
        learning_rate: float = 0.1,
        ascents: int = 1,
        seed: int = 0,
    ) -> None:
        self.steps = steps
        self.learning_rate = learning_rate
        self.ascents = ascents
        super().__init__(budget, radius=radius, seed=seed)

    def __repr__(self) -> str:
        return (
            f"Outsider(budget={self.budget}, radius={self.radius}, steps={self.steps}, "
            f"learning_rate={self.learning_rate}, ascents={self.ascents}, seed={self.seed})"
        )

    def harm(self, view: ParameterView, own: Samples) -> Callable[[Tensor], Tensor]:
        """What is climbed: the validation loss after the imagined unlearning, a scalar in nats.

        Args:
            view: what it knows.
            own: the samples that inputs are changes of, for their targets.

        Returns:
            A function of inputs in their units [n, ...] (`Crafter`), which can be differentiated.
        """
        function = view.function()
        task, machine = function.task, function.machine
        drawn = torch.randperm(len(view.validation), generator=generator(self.seed, "validation"))[:MOST_VALIDATION]
        aim = next(function.batches(view.validation.at(drawn), MOST_VALIDATION))
        targets = own.targets

        def after(inputs: Tensor) -> Tensor:
            request = machine.stage(task.prepare(machine.stage(Batch(inputs, targets))))
            parameters = function.parameters
            for _ in range(self.ascents):
                slope = grad(lambda p: function.losses(p, request).mean())(parameters)
                parameters = {name: p + self.learning_rate * slope[name] for name, p in parameters.items()}
            return function.losses(parameters, aim).mean()

        return after

    def _problems(self) -> list[str]:
        return [
            *super()._problems(),
            *(f"{k}={v} must be at least 1" for k in ("steps", "ascents") if (v := getattr(self, k)) < 1),
            *([] if self.learning_rate > 0 else [f"learning_rate={self.learning_rate} must be positive"]),
        ]

    def _craft(self, view: ParameterView, own: Samples) -> Tensor:
        ball = Ball.around(own, self.radius)

        rise = grad_and_value(self.harm(view, own))

        def slope(inputs: Tensor) -> tuple[Tensor, Tensor]:
            gradient, value = rise(inputs)
            return gradient.detach(), value.detach()

        return climbed(ball, ball.drawn(generator(self.seed, "start")), self.steps, slope)


class QueryingOutsider(Crafter[ServiceView]):
    """Does as `Outsider` does without the weights: it asks what the model would score, unlearned of this or that.

    The slope is estimated along random directions, from the scores at both ends of each. It takes
    ``(steps + 1) (1 + 2 directions)`` queries (`ServiceView.queries` counts them).

    Args:
        budget, radius, seed: see `Crafter`.
        steps: of the climb.
        directions: that the slope is estimated from at each step.
        reach: how far each query goes along a direction, as a share of the radius.

    Source: Huang et al. 2024, "Unlearn and Burn", the black-box attack; Nesterov and Spokoiny 2017, "Random
    Gradient-Free Minimization of Convex Functions", for the estimate.
    """

    view_type = ServiceView

    def __init__(
        self,
        budget: float | int = 0.05,
        *,
        radius: float = 1.0,
        steps: int = 10,
        directions: int = 10,
        reach: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.steps = steps
        self.directions = directions
        self.reach = reach
        super().__init__(budget, radius=radius, seed=seed)

    def __repr__(self) -> str:
        return (
            f"QueryingOutsider(budget={self.budget}, radius={self.radius}, steps={self.steps}, "
            f"directions={self.directions}, reach={self.reach}, seed={self.seed})"
        )

    def _problems(self) -> list[str]:
        return [
            *super()._problems(),
            *(f"{k}={v} must be at least 1" for k in ("steps", "directions") if (v := getattr(self, k)) < 1),
            *([] if self.reach > 0 else [f"reach={self.reach} must be positive"]),
        ]

    def _craft(self, view: ServiceView, own: Samples) -> Tensor:
        ball = Ball.around(own, self.radius)
        draws = generator(self.seed, "directions")

        def harm(inputs: Tensor) -> float:
            # What is asked about is what would be sent: rounded, and within the radius.
            return -view.unlearned(made_of(own, ball.inside(inputs)))

        def slope(inputs: Tensor) -> tuple[Tensor, Tensor]:
            total = torch.zeros_like(inputs)
            for _ in range(self.directions):
                way = self.reach * self.radius * directions(inputs, draws)
                total += (harm(inputs + way) - harm(inputs - way)) * way
            return total, torch.tensor(harm(inputs))

        return climbed(ball, ball.drawn(generator(self.seed, "start")), self.steps, slope)
