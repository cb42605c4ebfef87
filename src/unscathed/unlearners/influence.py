"""Influence unlearning: one Newton step away from what must be forgotten."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from unscathed.curvature import (
    GaussNewton,
    ModelFunction,
    conjugate_gradients,
    hessian,
    kronecker_factors,
    solve_by_magnitude,
)
from unscathed.curvature.fisher import Information
from unscathed.curvature.hessian import LARGEST
from unscathed.curvature.rows import has_rows
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training import Callback, DivergedError, Event, Trained
from unscathed.training.seeds import generator
from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.budget import in_words
from unscathed.unlearners.drift import Drift
from unscathed.unlearners.trust_region import affordable_share

Curvature = Literal["gauss-newton", "hessian", "ekfac", "last-layer"]


@dataclass(frozen=True, kw_only=True)
class Influence(Unlearner):
    """Step to where a quadratic model of the retained loss has its minimum.

    At the original's minimum, removing D_u leaves the retained loss with the gradient ``-n_u/n_r ∇L(D_u)``, so the
    Newton step is ``θ' = θ + n_u/n_r (C + δ I)⁻¹ ∇L(D_u)``, with C the curvature of the mean retained loss. Where the
    original minimised ``Σ_i ℓ_i + λ/2 ‖θ‖²``, the ridge is part of that curvature and not of C: then ``δ = λ/n_r``. On
    ridge regression the step lands on the retrained weights exactly; on other convex losses its error is quadratic in
    its length. A network is not quadratic: the step is shortened until it costs no more than ``kl_budget`` on retained
    samples, with a warning, and the history says how much of it was taken.

    Args:
        damping: δ, in units of C's eigenvalues.
        curvature: C. ``"gauss-newton"``: the generalised Gauss–Newton matrix, solved by conjugate gradients;
            ``"hessian"``: the exact Hessian, for small models, with the absolute values of its eigenvalues;
            ``"ekfac"``: the Fisher information, Kronecker-factored by layer with corrected eigenvalues;
            ``"last-layer"``: the Gauss–Newton matrix of the last linear layer, the only one that moves.
        information: whose Fisher information ``"ekfac"`` factors: the model's own answers' (``"true"``) or the
            targets' (``"empirical"``).
        iterations: the most conjugate-gradient iterations.
        tolerance: relative residual at which they stop.
        curvature_samples: retained samples that C is taken over; None for all of them.
        kl_budget: mean KL divergence on retained samples that the step may cost, nats, together with earlier requests
            since the model was last fitted or healed (`Unlearner.left`); None takes the whole step.

    Raises:
        DivergedError: from `unlearn`, if there is no step: it is not finite, or the curvature along it is not positive.

    Source: Koh and Liang 2017, "Understanding Black-box Predictions via Influence Functions", equation 2;
    Guo et al. 2020, "Certified Data Removal", section 3; Grosse et al. 2023, "Studying Large Language Model
    Generalization with Influence Functions" (``"ekfac"``).
    """

    damping: float = 1e-2
    curvature: Curvature = "gauss-newton"
    information: Information = "true"
    iterations: int = 20
    tolerance: float = 1e-3
    curvature_samples: int | None = 1024
    kl_budget: float | None = 0.05

    def __post_init__(self) -> None:
        problems = Problems("cannot use Influence")
        problems.require(self.damping >= 0, f"damping={self.damping} must not be negative")
        for name in ("iterations", "tolerance", "curvature_samples", "kl_budget"):
            value = getattr(self, name)
            problems.require(value is None or value > 0, f"{name}={value} must be positive")
        for name, kinds in (("curvature", get_args(Curvature)), ("information", get_args(Information))):
            value = getattr(self, name)
            problems.require(value in kinds, f"{name}={value!r} must be one of {', '.join(map(repr, kinds))}")
        problems.raise_any()

    @property
    def drift_budget(self) -> float | None:
        """`kl_budget`."""
        return self.kl_budget

    def problems_with(self, trained: Trained, samples: Samples, forget: Sequence[str]) -> list[str]:
        """What the chosen curvature cannot be taken of."""
        model, task = trained.model(), trained.task
        name, kind = type(model).__name__, type(task).__name__
        found = []
        if self.curvature in ("gauss-newton", "last-layer") and not _gives_one_tensor(trained, samples):
            found.append(
                f"the outputs of {kind} are not one tensor, which curvature={self.curvature!r} needs; "
                "use 'hessian', or 'ekfac' with information='empirical'"
            )
        if self.curvature == "last-layer" and not _last_layer(model):
            found.append(f"{name} has no trainable nn.Linear layer; use another curvature than 'last-layer'")
        if self.curvature == "hessian":
            count = sum(p.numel() for p in model.parameters() if p.requires_grad)
            if count > LARGEST:
                found.append(
                    f"{name} has {count:,} parameters, and the dense Hessian of more than {LARGEST:,} is not formed; "
                    "use 'gauss-newton' or 'ekfac'"
                )
        if self.curvature == "ekfac":
            if not any(has_rows(layer) for layer in model.modules()):
                found.append(f"{name} has no nn.Linear or ungrouped convolution, which 'ekfac' is for")
            if self.information == "true" and type(task).answers is Task.answers:
                found.append(f"{kind} cannot name its answers (Task.answers); use information='empirical'")
        return found

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        started = time.perf_counter()
        retain = samples.without(forget)
        only = _last_layer(trained.model()) if self.curvature == "last-layer" else None
        function = ModelFunction(trained, only=only)
        gradient = function.mean_gradient(samples.only(forget)) * (len(forget) / len(retain))
        curved = self._curvature_samples(retain, seed)
        step, passes, details = self._solve(function, curved, gradient, seed, callbacks)
        _check_step(step, gradient, self.damping)

        original = function.flatten(function.parameters)
        drift = Drift(function, retain, seed)
        left = self.left(trained)
        share, kl, whole = affordable_share(
            lambda s: drift(function.unflatten(original + s * step)), math.inf if left is None else left
        )
        if share < 1 and self.kl_budget is not None and left is not None:
            warnings.warn(
                f"Influence took {share:.2g} of its step: the whole would cost {whole:.3g} nats on retained samples, "
                f"and {in_words(self.kl_budget, left)}",
                stacklevel=3,
            )
        unlearned = function.unflatten(original + share * step)
        batch = trained.recipe.batch_size
        return trained.with_parameters(
            unlearned,
            Event(
                kind="unlearned",
                by=repr(self),
                samples=len(forget),
                steps=-(-len(forget) // batch) + passes * -(-len(curved) // batch),
                seconds=time.perf_counter() - started,
                details={**details, "share": share, "kl": kl, "kl_of_whole_step": whole, "kl_left": left},
            ),
            forget,
        )

    def _curvature_samples(self, retain: Samples, seed: int) -> Samples:
        if self.curvature_samples is None or self.curvature_samples >= len(retain):
            return retain
        order = torch.randperm(len(retain), generator=generator(seed, "curvature samples"))
        return retain.only([retain.ids[p] for p in order[: self.curvature_samples].tolist()])

    def _solve(
        self, function: ModelFunction, curved: Samples, right: Tensor, seed: int, callbacks: Sequence[Callback]
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """``(C + δ I)⁻¹ right``, its cost in passes over the curvature samples, and what the history says of it."""
        if self.curvature == "hessian":
            spectral = solve_by_magnitude(hessian(function, curved), right, self.damping)
            # Each column runs forward with tangents and backward: about two gradient steps.
            return spectral.vector, 2 * len(right), {"least_eigenvalue": spectral.least, "negative": spectral.negative}
        if self.curvature == "ekfac":
            factors = kronecker_factors(function, curved, self.information, seed=seed, callbacks=callbacks)
            return factors.solve(right, self.damping), 2, {"blocks": len(factors.blocks)}
        solution = conjugate_gradients(
            GaussNewton(function, curved),
            right,
            damping=self.damping,
            iterations=self.iterations,
            tolerance=self.tolerance,
            callbacks=callbacks,
        )
        # A product runs twice backward, once through the first backward's graph: about two gradient steps.
        return (
            solution.vector,
            2 * solution.iterations,
            {
                "iterations": solution.iterations,
                "residual": solution.residual,
            },
        )


def _check_step(step: Tensor, right: Tensor, damping: float) -> None:
    """A step that is none is not passed off as one."""
    why = None
    if not bool(torch.isfinite(step).all()):
        why = "the step is not finite"
    elif bool(right.any()) and not float(step.double() @ right.double()) > 0:
        why = "curvature along the gradient is not positive, so there is no step"
    if why:
        raise DivergedError(f"cannot unlearn with Influence: {why}; raise damping={damping}, or use another curvature")


def _last_layer(model: nn.Module) -> set[str]:
    """The names of the last linear layer's trainable parameters; none where there is no such layer."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    own = {id(p) for p in layers[-1].parameters()} if layers else set()
    return {name for name, p in model.named_parameters() if id(p) in own and p.requires_grad}


def _gives_one_tensor(trained: Trained, samples: Samples) -> bool:
    batch = next(ModelFunction(trained).batches(samples, 1))
    with torch.no_grad():
        return isinstance(trained.task.outputs(trained.model(), batch), Tensor)
