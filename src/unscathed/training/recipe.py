"""Recipe: everything that decides a training run, besides the samples and the seed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from unscathed.problems import Problems
from unscathed.training import augment
from unscathed.training.augment import Augmentation


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained.

    Args:
        epochs: passes over the samples (a fraction is allowed); give this or ``steps``, 10 epochs by default.
        steps: gradient steps.
        batch_size: samples a step; a smaller set is one batch.
        optimizer: ``"sgd"`` (Nesterov momentum), ``"adamw"``, or ``"muon"`` (the weights of hidden layers by Muon, all
            else by AdamW; the fastest for convolutional networks).
        learning_rate: its peak.
        momentum: of ``"sgd"`` and of ``"muon"``'s hidden layers.
        weight_decay: applied to weights of two or more dimensions (not to biases and norms).
        schedule: ``"one-cycle"`` (up to the peak, then down to zero, linearly) or ``"constant"``.
        warmup: the share of steps in which one-cycle rises.
        augment: what is done to each training batch, in order.
        precision: ``"auto"`` (bfloat16 where the machine multiplies it natively and the model convolves,
            else float32), ``"float32"`` or ``"bfloat16"``.
        device: ``"auto"`` (an accelerator where there is one), or a torch device name.
    """

    epochs: float | None = None
    steps: int | None = None
    batch_size: int = 64
    optimizer: Literal["sgd", "adamw", "muon"] = "adamw"
    learning_rate: float = 3e-3
    momentum: float = 0.9
    weight_decay: float = 1e-2
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    warmup: float = 0.2
    augment: tuple[Augmentation, ...] = ()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        problems = Problems("cannot use this recipe")
        if self.epochs is None and self.steps is None:
            object.__setattr__(self, "epochs", 10)
        problems.require(
            self.epochs is None or self.steps is None,
            f"epochs={self.epochs} and steps={self.steps} are both given; give one",
        )
        for name in ("epochs", "steps", "batch_size", "learning_rate"):
            value = getattr(self, name)
            problems.require(
                value is None or (math.isfinite(value) and value > 0), f"{name}={value} must be a positive number"
            )
        for name in ("weight_decay", "momentum"):
            value = getattr(self, name)
            problems.require(math.isfinite(value) and value >= 0, f"{name}={value} must not be negative")
        problems.require(0 <= self.warmup < 1, f"warmup={self.warmup} must be a share of the steps, 0 ≤ warmup < 1")
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            problems.require(value in allowed, f"{name}={value!r} must be one of {', '.join(map(repr, allowed))}")
        problems.raise_any()

    def total_steps(self, samples: int) -> int:
        """How many gradient steps this recipe takes over so many samples."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * self.steps_per_epoch(samples)))

    def steps_per_epoch(self, samples: int) -> int:
        """Full batches in one pass; a remainder waits for the next pass, which is in another order."""
        return max(1, samples // self.batch_size)

    def total_epochs(self, samples: int) -> float:
        """How many passes over so many samples this recipe makes."""
        return self.epochs if self.epochs is not None else self.total_steps(samples) / self.steps_per_epoch(samples)

    def lasting(self, *, epochs: float | None = None, steps: int | None = None) -> Recipe:
        """The same recipe for another duration; its schedule is stretched or squeezed to it."""
        return replace(self, epochs=epochs, steps=steps)

    def rate(self, step: int, total: int) -> float:
        """The learning rate of a step, as a share of the peak."""
        if self.schedule == "constant":
            return 1.0
        rise = int(self.warmup * total)
        return (step + 1) / rise if step < rise else (total - step) / (total - rise)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, from which `from_json` makes it again."""
        return {**asdict(self), "augment": [augment.to_json(a) for a in self.augment]}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Recipe:
        """The recipe that `to_json` wrote."""
        return cls(**{**record, "augment": tuple(augment.from_json(a) for a in record["augment"])})


_CHOICES = {
    "optimizer": ("sgd", "adamw", "muon"),
    "schedule": ("one-cycle", "constant"),
    "precision": ("auto", "float32", "bfloat16"),
}
