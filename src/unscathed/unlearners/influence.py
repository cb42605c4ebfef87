"""Influence unlearning: one Newton step away from what must be forgotten."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from unscathed.curvature import ModelFunction, conjugate_gradients, gauss_newton_product
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Callback, Event, Trained
from unscathed.training.seeds import generator
from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.drift import Drift


@dataclass(frozen=True, kw_only=True)
class Influence(Unlearner):
    """Step to where a quadratic model of the retained loss has its minimum.

    At the original's minimum, removing D_u leaves the retained loss with the gradient ``-n_u/n_r ∇L(D_u)``, so the
    Newton step is ``θ' = θ + n_u/n_r (G + δ I)⁻¹ ∇L(D_u)``, with G the Gauss–Newton matrix of the retained loss.
    On ridge regression it lands on the retrained weights exactly. A network is not quadratic: the step is halved
    until it costs no more than ``kl_budget`` on retained samples, and the history says how often.

    Args:
        damping: δ, in units of G's eigenvalues.
        iterations: the most conjugate-gradient iterations.
        tolerance: relative residual at which they stop.
        curvature_samples: retained samples that G is taken over; None for all of them.
        kl_budget: mean KL divergence from the original on retained samples that the step may cost, nats;
            None takes the whole step.

    Source: Koh and Liang 2017, "Understanding Black-box Predictions via Influence Functions", equation 2;
    Guo et al. 2020, "Certified Data Removal", section 3.
    """

    damping: float = 1e-2
    iterations: int = 20
    tolerance: float = 1e-3
    curvature_samples: int | None = 1024
    kl_budget: float | None = 0.05

    def __post_init__(self) -> None:
        problems = Problems("cannot use Influence")
        problems.require(self.damping >= 0, f"damping={self.damping} must not be negative")
        for name in ("iterations", "curvature_samples", "kl_budget"):
            value = getattr(self, name)
            problems.require(value is None or value > 0, f"{name}={value} must be positive")
        problems.raise_any()

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        started = time.perf_counter()
        retain = samples.without(forget)
        function = ModelFunction(trained)
        gradient = function.mean_gradient(samples.only(forget)) * (len(forget) / len(retain))

        curved = retain
        if self.curvature_samples is not None and self.curvature_samples < len(retain):
            order = torch.randperm(len(retain), generator=generator(seed, "curvature samples"))
            curved = retain.only([retain.ids[p] for p in order[: self.curvature_samples].tolist()])
        solution = conjugate_gradients(
            lambda v: gauss_newton_product(function, curved, v),
            gradient,
            damping=self.damping,
            iterations=self.iterations,
            tolerance=self.tolerance,
            callbacks=callbacks,
        )

        original = function.flatten(function.parameters)
        drift = Drift(function, retain, seed)
        step, halvings = solution.vector, 0
        while (
            self.kl_budget is not None and halvings < 60 and drift(function.unflatten(original + step)) > self.kl_budget
        ):
            step, halvings = step / 2, halvings + 1
        unlearned = function.unflatten(original + step)
        batch = trained.recipe.batch_size
        # A product runs forward twice, forward with tangents, and backward: about two gradient steps.
        steps = -(-len(forget) // batch) + 2 * solution.iterations * -(-len(curved) // batch)
        return trained.with_parameters(
            unlearned,
            Event(
                kind="unlearned",
                by=repr(self),
                samples=len(forget),
                steps=steps,
                seconds=time.perf_counter() - started,
                details={
                    "iterations": solution.iterations,
                    "residual": solution.residual,
                    "halvings": halvings,
                    "kl": drift(unlearned),
                },
            ),
            forget,
        )
