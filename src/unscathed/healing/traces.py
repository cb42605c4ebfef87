"""Traces: one layer at work in two models, the record and the damaged one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.utils.hooks import RemovableHandle

_UNITS_SECOND = (_ConvNd, _BatchNorm, _InstanceNorm, nn.GroupNorm)
"""Layers whose units (channels) are the second dimension of what enters and leaves them; others have them last."""


@dataclass(frozen=True, kw_only=True)
class LayerDamage:
    """What became of one layer.

    Args:
        name: in the model.
        kind: the layer's class.
        weights: ``‖θ' - θ‖ / ‖θ‖`` of its own parameters.
        own: how far its outputs moved *given the record's inputs*, so that it is blamed for nothing that a layer before
            it did: ``(Σ‖y' - y‖² / Σ‖y - ȳ‖²)^½``, ȳ being the mean of each unit. At 1 it says no more than a constant
            would. None for a layer that is not run by its forward.
        cumulative: the same, given what the damaged layers before it hand on; None as before.
        drift: of a norm with running statistics: ``KL(actual ‖ kept)`` between a Gaussian with the mean and variance of
            what enters it and one with those that it keeps, a channel's mean, nats. None for other layers.
        died: the share of units entering it that varied over the samples in the record, and do not any more: it was
            layers before that killed them. None where nothing that varies enters.
        broken: how many values of its parameters and statistics are not finite.
    """

    name: str
    kind: str
    weights: float
    own: float | None
    cumulative: float | None
    drift: float | None
    died: float | None
    broken: int

    @property
    def change(self) -> float:
        """``own``, or ``weights`` where there is no own."""
        return self.weights if self.own is None else self.own

    def destroyed(self, threshold: float) -> bool:
        """Whether values are not finite, or the change is beyond the threshold."""
        return self.broken > 0 or self.change > threshold


class _Units:
    """Sums over rows of units, by unit, float64: their moments and how far they range."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = self._squares = torch.zeros((), dtype=torch.float64)
        self._low, self._high = torch.tensor(math.inf), torch.tensor(-math.inf)

    def add(self, rows: Tensor) -> None:
        """Rows [r, units]."""
        self.count += len(rows)
        self._sum = self._sum + rows.sum(0)
        self._squares = self._squares + rows.square().sum(0)
        self._low = torch.minimum(self._low.to(rows), rows.amin(0))
        self._high = torch.maximum(self._high.to(rows), rows.amax(0))

    @property
    def mean(self) -> Tensor:
        """[units]."""
        return self._sum / self.count

    @property
    def variance(self) -> Tensor:
        """[units], over all rows."""
        return (self._squares / self.count - self.mean.square()).clamp_min(0)

    @property
    def varies(self) -> Tensor:
        """Which units are not the same in all rows, bool [units]."""
        return self._high - self._low > 1e-6 * torch.maximum(self._low.abs(), self._high.abs())


class Trace:
    """One layer, in the record and in the damaged model, as both are run."""

    def __init__(self, layer: nn.Module, damaged: nn.Module) -> None:
        self.layer = layer
        self.damaged = damaged
        self._inputs, self._damaged_inputs, self._outputs = _Units(), _Units(), _Units()
        self._own = self._cumulative = 0.0
        self._waiting: list[Tensor] = []

    def of_record(self) -> RemovableHandle:
        """Watch the record; what enters its layer is handed to the damaged one at once, before anything changes it."""

        def hook(_: nn.Module, arguments: Any, named: dict[str, Any], outputs: Any) -> None:
            self._note(self._inputs, arguments)
            rows = self._rows(outputs)
            if rows is None:
                return
            self._outputs.add(rows)
            self._own += _squares(self._rows(self.damaged(*arguments, **named)), rows)
            self._waiting.append(rows)

        return self.layer.register_forward_hook(hook, with_kwargs=True)

    def of_damaged(self) -> RemovableHandle:
        """Watch the damaged model. Calls that the record did not make (its ways may depend on values) are left out."""

        def hook(_: nn.Module, arguments: Any, outputs: Any) -> None:
            self._note(self._damaged_inputs, arguments)
            rows = self._rows(outputs)
            if rows is not None and self._waiting:
                self._cumulative += _squares(rows, self._waiting.pop(0))

        return self.damaged.register_forward_hook(hook)

    def summary(self, name: str) -> LayerDamage:
        """What was seen."""
        return LayerDamage(
            name=name,
            kind=type(self.layer).__name__,
            weights=self._weights(),
            own=self._relative(self._own),
            cumulative=self._relative(self._cumulative),
            drift=self._drift(),
            died=self._died(),
            broken=sum(int((~torch.isfinite(t)).sum()) for t in _own_tensors(self.damaged)),
        )

    def _note(self, units: _Units, arguments: Any) -> None:
        rows = self._rows(arguments)
        if rows is not None:
            units.add(rows)

    def _rows(self, values: Any) -> Tensor | None:
        """The first tensor of what enters or leaves the layer as a copy [rows, units]; None if it is of integers."""
        first = values
        while isinstance(first, tuple | list) and first:
            first = first[0]
        if not isinstance(first, Tensor) or not first.is_floating_point() or not first.ndim:
            return None
        units = 1 if isinstance(self.layer, _UNITS_SECOND) and first.ndim > 1 else -1
        # What leaves a layer may be written into by the next (an activation in place).
        return first.detach().to("cpu", torch.float64, copy=True).movedim(units, -1).flatten(0, -2)

    def _relative(self, squares: float) -> float | None:
        if not self._outputs.count:
            return None
        spread = float(self._outputs.variance.sum()) * self._outputs.count
        if spread > 0:
            return finite(math.sqrt(squares / spread)) if squares >= 0 else math.inf
        return 0.0 if squares == 0 else math.inf

    def _weights(self) -> float:
        pairs = zip(_own_parameters(self.layer), _own_parameters(self.damaged), strict=True)
        moved = size = 0.0
        for before, after in pairs:
            moved += _squares(after, before)
            size += _squares(before, torch.zeros_like(before))
        if moved == 0:
            return 0.0
        return finite(math.sqrt(moved / size)) if size else math.inf

    def _drift(self) -> float | None:
        norm = self.damaged
        if not isinstance(norm, _BatchNorm) or not _keeps_statistics(norm) or not self._damaged_inputs.count:
            return None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, variance = (t.to("cpu", torch.float64) for t in (norm.running_mean, norm.running_var))
        actual, kept = self._damaged_inputs.variance + norm.eps, variance + norm.eps
        apart = (self._damaged_inputs.mean - mean).square()
        return finite(float(((actual + apart) / kept - 1 - (actual / kept).log()).mean() / 2))

    def _died(self) -> float | None:
        if not self._inputs.count or not self._damaged_inputs.count:
            return None
        alive = self._inputs.varies
        return float((alive & ~self._damaged_inputs.varies).sum() / alive.sum()) if alive.any() else None


def _squares(one: Tensor | None, other: Tensor) -> float:
    """``‖one - other‖²``; infinite where they cannot be compared."""
    if one is None or one.shape != other.shape:
        return math.inf
    return finite(float((one.to("cpu", torch.float64) - other.to("cpu", torch.float64)).square().sum()))


def _keeps_statistics(layer: nn.Module) -> bool:
    return isinstance(layer, _BatchNorm) and layer.running_mean is not None


def _own_parameters(layer: nn.Module) -> list[Tensor]:
    return [p.detach() for p in layer.parameters(recurse=False)]


def _own_tensors(layer: nn.Module) -> list[Tensor]:
    return [*_own_parameters(layer), *layer.buffers(recurse=False)]


@contextmanager
def watching(handles: list[RemovableHandle]) -> Iterator[None]:
    """Within, these hooks are there."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def finite(number: float) -> float:
    """Infinite for what is not a number: a measure of damage that cannot be taken is the worst."""
    return number if math.isfinite(number) else math.inf


def has_state_of_its_own(layer: nn.Module) -> bool:
    """Whether a module holds parameters or statistics itself, not in modules within it."""
    return any(True for _ in layer.parameters(recurse=False)) or _keeps_statistics(layer)
