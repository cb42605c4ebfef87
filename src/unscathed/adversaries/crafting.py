"""Crafting: adversaries who make up what is to be forgotten, and do not choose it among what was learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from unscathed.adversaries.budget import Budgeted
from unscathed.adversaries.views import BlindView
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training.seeds import generator

View = TypeVar("View", bound=BlindView)
UINT8_MOST = 255


class Crafter(Budgeted, ABC, Generic[View]):
    """Asks to have samples forgotten that the model never saw: its own, changed.

    The view's samples are its own here. Those that it changes are drawn from them at random; each keeps its target.
    What it makes is of the type of its own samples: uint8 images are rounded towards what they were made from, so that
    they stay within the radius and can stand beside training samples.

    Lengths are Euclidean, of a whole input, in the inputs' own units, in which uint8's 255 is 1: as `Task.prepare`
    makes them before it normalises channels. Of uint8 inputs, values stay in 0…255; others have no bounds.

    Args:
        budget: how many samples it makes: a share of its own (0 < float < 1) or a number (int).
        radius: how far each may be from the sample that it was made from.
        seed: which of its own, and what it draws.
    """

    def __init__(self, budget: float | int, *, radius: float, seed: int) -> None:
        self.radius = radius
        self.seed = seed
        super().__init__(budget)

    def craft(self, view: View) -> Samples:
        """What it asks to have forgotten, under fresh ids.

        Args:
            view: what the adversary may know; ``view.samples`` are its own.

        Raises:
            BadInputError: the view shows less than this adversary needs, the budget exceeds its own samples, or they
                are not of a kind that can be changed a little.
        """
        own = self.origins(view)
        return made_of(own, self._craft(view, own))

    def origins(self, view: BlindView) -> Samples:
        """Those of its own samples that it changes, in the order of what it makes; raises as `craft` does."""
        problems = Problems(f"cannot attack with {type(self).__name__}")
        problems.extend(self._problems_with(view))
        own = view.samples
        count = self.count(len(own))
        problems.require(
            count <= len(own), f"budget={self.budget} exceeds its own {len(own)} samples; lower it, or give more"
        )
        problems.require(
            own.dtype == torch.uint8 or own.dtype.is_floating_point,
            f"inputs are {own.dtype}; they must be uint8 or floating-point numbers",
        )
        problems.raise_any()
        drawn = torch.randperm(len(own), generator=generator(self.seed, "origins"))[:count]
        return own.at(drawn)

    def _problems(self) -> list[str]:
        return [] if self.radius > 0 else [f"radius={self.radius} must be positive"]

    @abstractmethod
    def _craft(self, view: View, own: Samples) -> Tensor:
        """The inputs that these are changed to, in their units [n, ...]; everything has been checked."""


@dataclass(frozen=True)
class Ball:
    """Where crafted inputs may be: no farther than a radius from where each began, uint8 images within their range.

    Args:
        centre: where they began, in units [n, ...].
        radius: the Euclidean distance.
        bounded: whether values stay in 0…1.
    """

    centre: Tensor
    radius: float
    bounded: bool

    @classmethod
    def around(cls, samples: Samples, radius: float) -> Ball:
        """The ball around samples."""
        return cls(in_units(samples.inputs), radius, samples.dtype == torch.uint8)

    def inside(self, inputs: Tensor) -> Tensor:
        """The inputs, moved straight towards the centre where they are too far, and then into their range."""
        offset = inputs - self.centre
        length = lengths(offset)
        offset = torch.where(length > self.radius, offset * (self.radius / length), offset)
        moved = self.centre + offset
        return moved.clamp(0, 1) if self.bounded else moved

    def drawn(self, draws: torch.Generator) -> Tensor:
        """Inputs halfway to the border, each in a direction of its own."""
        return self.inside(self.centre + self.radius / 2 * directions(self.centre, draws))


def climbed(ball: Ball, start: Tensor, steps: int, slope: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    """Climb within a ball by steps of one length a sample; the best that was seen is kept.

    Args:
        ball: where inputs may be.
        start: where they begin, [n, ...].
        steps: how many.
        slope: of inputs, the gradient [n, ...] of what is climbed, and its value (a scalar).

    Source: Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", for the steps' length.
    """
    size = 2.5 * ball.radius / steps
    at, best, most = start, start, -torch.inf
    for step in range(steps + 1):
        gradient, value = slope(at)
        if torch.isfinite(value) and float(value) > most:
            at, best, most = at, at, float(value)
        if step < steps:
            # A sample without a gradient stays where it is.
            gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
            at = ball.inside(at + size * gradient / lengths(gradient).clamp_min(torch.finfo(at.dtype).tiny))
    return best


def in_units(inputs: Tensor) -> Tensor:
    """Inputs in their own units: floating-point numbers, in which uint8's 255 is 1."""
    return inputs.float() / UINT8_MOST if inputs.dtype == torch.uint8 else inputs


def made_of(own: Samples, inputs: Tensor) -> Samples:
    """Samples of crafted inputs (in units, [n, ...]), of the type and with the targets of those that they come from."""
    raw = own.inputs
    if own.dtype == torch.uint8:
        moved = (inputs.to(raw.device) * UINT8_MOST - raw.float()).trunc()
        kept = (raw.float() + moved).clamp(0, UINT8_MOST).to(torch.uint8)
    else:
        kept = inputs.to(raw)
    # Digests as ids might be those of training samples.
    named = Samples(kept, own.targets).ids
    return Samples(kept, own.targets, [f"crafted {i}" for i in named], classes=own.classes)


def lengths(inputs: Tensor) -> Tensor:
    """The Euclidean length of each input, [n, 1, ...]."""
    flat: Tensor = torch.linalg.vector_norm(inputs.flatten(1), dim=1)
    return flat.view(-1, *(1,) * (inputs.ndim - 1))


def directions(like: Tensor, draws: torch.Generator) -> Tensor:
    """A random direction of length 1 for each input, [n, ...]."""
    drawn = torch.randn(like.shape, generator=draws, dtype=torch.float64)
    return (drawn / lengths(drawn)).to(like)
