"""Groups: the samples of each class, where adversaries look for what is rare or typical, and raw space."""

from __future__ import annotations

import torch
from torch import Tensor

from unscathed.samples import Samples


def known_classes(samples: Samples) -> Tensor | None:
    """The targets, where they look like classes (one integer a sample): what is known without the task."""
    targets = samples.targets
    return None if targets.ndim != 1 or targets.is_floating_point() else targets


def shares(groups: list[Tensor], count: int) -> list[int]:
    """How many of ``count`` each group gives, in proportion to its size (largest remainders), none more than it has."""
    total = sum(len(group) for group in groups)
    exact = [count * len(group) / total for group in groups]
    given = [int(share) for share in exact]
    order = sorted(range(len(groups)), key=lambda g: (given[g] - exact[g], g))
    for g in order[: count - sum(given)]:
        given[g] += 1
    return given


def in_turn(chosen: list[Tensor]) -> Tensor:
    """Positions from each group's list, most wanted first, so that any prefix has each group's share."""
    wanted = torch.cat([(torch.arange(len(c)) + 0.5) / max(1, len(c)) for c in chosen])
    return torch.cat(chosen)[torch.argsort(wanted, stable=True)]


def raw(samples: Samples) -> Tensor:
    """The inputs themselves, flattened, float32 [n, d]; a table's columns each in units of its own deviation.

    Pixels share a unit; columns (one row of floats a sample) do not, and the one with the largest numbers would decide.
    Codes of categories are numbers like any: which of them are near says as much as their order does.
    """
    vectors = samples.inputs.flatten(1).cpu()
    if len(samples.shape) > 1 or not samples.dtype.is_floating_point:
        return vectors.float()
    vectors = vectors.double() - vectors.double().mean(dim=0)
    deviation = vectors.square().mean(dim=0).sqrt()
    return (vectors / torch.where(deviation > 0, deviation, 1.0)).float()


def no_distances(samples: Samples) -> list[str]:
    """Why inputs have no distances in raw space, if they have none."""
    if samples.dtype == torch.uint8 or samples.dtype.is_floating_point:
        return []
    return [f"inputs are {samples.dtype}: distances need uint8 or floating-point numbers"]
