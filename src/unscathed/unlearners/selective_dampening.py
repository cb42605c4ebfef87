"""Selective synaptic dampening: shrink the parameters that what must be forgotten needs far more than all else does."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from unscathed.curvature import ModelFunction, fisher_diagonal
from unscathed.problems import Problems
from unscathed.samples import Batch, Samples
from unscathed.task import Task
from unscathed.training import Callback, Event, Trained
from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.budget import in_words
from unscathed.unlearners.drift import Drift

Importance = Literal["loss", "outputs"]


@dataclass(frozen=True, kw_only=True)
class SelectiveDampening(Unlearner):
    """Shrink the parameters that are much more important to the forget set D_f than to all training samples D.

    ``θ'_i = β θ_i`` with ``β = min(λ []_{D,i} / []_{D_f,i}, 1)`` where ``[]_{D_f,i} > α []_{D,i}``, else ``θ_i``;
    [] is a diagonal of the Fisher information, D the samples that are still in the model, D_f among them.
    Since they are, no parameter is more than ``n / n_f`` times as important to D_f as to D, and an α of at least that
    is refused: it would select nothing. Large requests need a lower α, or None.

    With unlucky settings this collapses a model. So where the result drifts further than ``kl_budget``, α is raised,
    by bisection, to where it does not: what is most peculiar to the forget set is still dampened, and by as much.
    The history says which α it became, and how many parameters were dampened.

    Args:
        alpha: α; None finds, by bisection, the lowest that ``kl_budget`` affords. The default is the source's for
            CIFAR, as is λ's.
        dampening: λ.
        importance: ``"loss"``: [] is of the loss; ``"outputs"``: of the squared norm of the outputs, which needs no
            targets (padding, where a task has any, counts like all else).
        kl_budget: mean KL divergence on retained samples that this may cost, nats, together with earlier requests since
            the model was last fitted or healed (`Unlearner.left`); None takes α as it is, collapse included.

    Source: Foster et al. 2024, "Fast Machine Unlearning without Retraining Through Selective Synaptic Dampening",
    equations for selection and dampening (their code squares gradients of batches, ours are each sample's own, as
    their equations have it); Foster et al. 2024, "Loss-Free Machine Unlearning", for ``"outputs"`` (they average the
    gradient's magnitudes; here its squares, so that α and λ act alike on both importances).
    """

    alpha: float | None = 10.0
    dampening: float = 1.0
    importance: Importance = "loss"
    kl_budget: float | None = 0.05

    def __post_init__(self) -> None:
        problems = Problems("cannot use SelectiveDampening")
        for name in ("alpha", "dampening", "kl_budget"):
            value = getattr(self, name)
            problems.require(value is None or value > 0, f"{name}={value} must be positive")
        problems.require(
            self.alpha is not None or self.kl_budget is not None,
            "alpha=None finds the lowest α that kl_budget affords, and kl_budget is None too; give one of them",
        )
        kinds = get_args(Importance)
        problems.require(
            self.importance in kinds, f"importance={self.importance!r} must be one of {', '.join(map(repr, kinds))}"
        )
        problems.raise_any()

    @property
    def drift_budget(self) -> float | None:
        """`kl_budget`."""
        return self.kl_budget

    def problems_with(self, trained: Trained, samples: Samples, forget: Sequence[str]) -> list[str]:
        """A forget set too large for α."""
        count = len(samples)
        if self.alpha is None or self.alpha * len(forget) < count or samples.problems_with(forget):
            return []
        return [
            f"alpha={self.alpha} selects nothing: {len(forget)} of {count} samples are at most "
            f"{count / len(forget):.3g} times as important as all of them; give a lower alpha, or None to find "
            "the lowest that kl_budget affords"
        ]

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        started = time.perf_counter()
        forgotten, retain = samples.only(forget), samples.without(forget)
        function = ModelFunction(trained)
        measured = function
        if self.importance == "outputs":
            measured = ModelFunction(replace(trained, task=SquaredNorm(trained.task)))
        to_forgotten = fisher_diagonal(measured, forgotten, callbacks=callbacks)
        to_retained = fisher_diagonal(measured, retain, callbacks=callbacks)
        share = len(forgotten) / (len(forgotten) + len(retain))
        to_all = share * to_forgotten + (1 - share) * to_retained

        original = function.flatten(function.parameters)
        # Where gradients are nothing but rounding (a softmax does not mind what is added to all), ratios are noise.
        felt = to_all > torch.finfo(to_all.dtype).eps ** 2 * to_all.max()
        ratio = torch.where(felt, to_forgotten / to_all, 0.0)

        def dampened(alpha: float) -> Tensor:
            return torch.where(ratio > alpha, (self.dampening / ratio).clamp_max(1) * original, original)

        drift = Drift(function, retain, seed)
        left = self.left(trained)
        alpha = self._affordable(drift, dampened, ratio, left)
        unlearned = function.unflatten(dampened(alpha))
        count = int((ratio > alpha).sum())
        if count == 0:
            self._warn_of_nothing(float(ratio.max()), left)
        batch = trained.recipe.batch_size
        return trained.with_parameters(
            unlearned,
            Event(
                kind="unlearned",
                by=repr(self),
                samples=len(forget),
                steps=-(-len(forgotten) // batch) - (-len(retain) // batch),
                seconds=time.perf_counter() - started,
                details={
                    "alpha": alpha,
                    "raised": self.alpha is not None and alpha > self.alpha,
                    "dampened": count,
                    "parameters": len(original),
                    "kl": drift(unlearned),
                    "kl_left": left,
                },
            ),
            forget,
        )

    def _affordable(
        self, drift: Drift, dampened: Callable[[float], Tensor], ratio: Tensor, budget: float | None
    ) -> float:
        """The lowest α, no lower than the one given, at which dampening stays within the budget.

        Ratios can lie close together, so bisection is over how many parameters are dampened, to the last one.

        Args:
            drift: from the original.
            dampened: parameters by α, as a vector [p].
            ratio: how much more important each parameter is to the forget set, [p].
            budget: nats; None for no bound.
        """

        def affordable(alpha: float) -> bool:
            return budget is None or drift(drift.function.unflatten(dampened(alpha))) <= budget

        # Ratios up to λ are not dampened at all.
        lowest = self.dampening if self.alpha is None else self.alpha
        if affordable(lowest):
            return lowest
        steps = ratio[ratio > lowest].sort(descending=True).values.tolist()
        low, high = 0, len(steps)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if affordable(steps[middle]) else (low, middle)
        return float(steps[low])

    def _warn_of_nothing(self, highest: float, left: float | None) -> None:
        name, lowest = ("dampening", self.dampening) if self.alpha is None else ("alpha", self.alpha)
        if highest <= lowest or self.kl_budget is None or left is None:
            why = f"no parameter is more than {highest:.3g} times as important to it; lower {name}={lowest}"
        else:
            why = f"whatever was dampened would cost more than {in_words(self.kl_budget, left)}"
        warnings.warn(f"nothing was dampened, and so the forget set is not forgotten: {why}", stacklevel=4)


class SquaredNorm(Task):
    """Another task's model, with the squared norm of its outputs for a loss.

    Args:
        task: whose model.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(features=task.feature_source)
        self.task = task

    def build(self) -> nn.Module:
        """As for the task."""
        return self.task.build()

    def outputs(self, model: nn.Module, batch: Batch) -> Any:
        """As for the task."""
        return self.task.outputs(model, batch)

    def prepare(self, batch: Batch) -> Batch:
        """As for the task."""
        return self.task.prepare(batch)

    def losses(self, outputs: Any, batch: Batch) -> Tensor:
        """``‖outputs‖²`` of each sample, [n]; of several tensors (in tuples, lists, dicts), the sum."""
        if isinstance(outputs, Tensor):
            return outputs.flatten(1).square().sum(dim=1)
        parts = outputs.values() if isinstance(outputs, dict) else outputs
        return torch.stack([self.losses(part, batch) for part in parts]).sum(dim=0)
