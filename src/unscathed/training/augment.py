"""Augmentations of a whole prepared batch at once, as tensor code on the batch's own device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Augmentation(Protocol):
    """Changes inputs [n, ...] at random, drawing from ``generator`` (on the CPU, so that devices agree)."""

    def __call__(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """The changed inputs, same shape and type."""


@dataclass(frozen=True)
class Flip:
    """Mirror images [n, c, h, w] left to right.

    Args:
        probability: of each image to be mirrored.
    """

    probability: float = 0.5

    def __call__(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """The mirrored batch."""
        mirrored = torch.rand(len(inputs), 1, 1, 1, generator=generator) < self.probability
        return torch.where(mirrored.to(inputs.device), inputs.flip(-1), inputs)


@dataclass(frozen=True)
class Shift:
    """Move images [n, c, h, w] by up to ``pixels`` each way, reflecting what lies beyond the edge.

    Args:
        pixels: the farthest move.
    """

    pixels: int = 2

    def __call__(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """The moved batch."""
        count, _, height, width = inputs.shape
        padded = functional.pad(inputs, (self.pixels,) * 4, mode="reflect")
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        down, right = torch.randint(2 * self.pixels + 1, (2, count), generator=generator).to(inputs.device)
        return windows[torch.arange(count, device=inputs.device), :, down, right]


_KNOWN: dict[str, Callable[..., Augmentation]] = {"Flip": Flip, "Shift": Shift}


def to_json(augmentation: Any) -> dict[str, Any]:
    """An augmentation (a dataclass) as its class name and arguments."""
    return {"name": type(augmentation).__name__, **asdict(augmentation)}


def from_json(record: dict[str, Any]) -> Augmentation:
    """The augmentation that `to_json` wrote; a user's own is not rebuilt from a file and is refused."""
    arguments = dict(record)
    name = arguments.pop("name")
    if name not in _KNOWN:
        raise KeyError(f"augmentation {name!r} is not one of {sorted(_KNOWN)}")
    return _KNOWN[name](**arguments)
