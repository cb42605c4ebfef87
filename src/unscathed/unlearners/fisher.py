"""Fisher forgetting: noise where the retained samples do not mind it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from unscathed.curvature import ModelFunction, fisher_diagonal
from unscathed.curvature.fisher import Information
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training import Callback, Event, Trained
from unscathed.training.seeds import generator
from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.budget import left_of
from unscathed.unlearners.drift import Drift
from unscathed.unlearners.trust_region import furthest


@dataclass(frozen=True, kw_only=True)
class Fisher(Unlearner):
    """Add noise to each parameter, the less the more the retained samples depend on it.

    ``θ' = θ + (λ σ_h²)^¼ F^(-¼) ε``, with ``ε ~ N(0, I)`` and F the diagonal Fisher information of the retained
    samples. With the literature's strengths this can collapse a model to chance. So the default does not fix
    ``(λ σ_h²)^¼`` but finds the one whose noise costs ``kl_budget`` on retained samples.

    Args:
        strength: ``(λ σ_h²)^¼``, taken as it is, collapse included.
        alpha: α of the form in which the source's authors run it, ``θ' = θ + (α / F)^½ ε``, taken as it is, collapse
            included. Where neither is given, the strength is calibrated.
        information: of which Fisher information F is the diagonal: ``"empirical"`` or ``"true"`` (`fisher_diagonal`).
        kl_budget: mean KL divergence on retained samples that the noise may cost, nats, together with that of earlier
            requests since the model was last fitted or healed (`Unlearner.left`).
        floor: F is raised to at least this share of its mean, so that parameters without information (dead units)
            do not take all the noise.

    Source: Golatkar et al. 2020, "Eternal Sunshine of the Spotless Net", equations 8 to 10.
    """

    strength: float | None = None
    alpha: float | None = None
    information: Information = "empirical"
    kl_budget: float = 0.05
    floor: float = 1e-3

    def __post_init__(self) -> None:
        problems = Problems("cannot use Fisher")
        for name in ("strength", "alpha", "kl_budget", "floor"):
            value = getattr(self, name)
            problems.require(value is None or value > 0, f"{name}={value} must be positive")
        problems.require(self.strength is None or self.alpha is None, "strength and alpha are both given; give one")
        kinds = get_args(Information)
        problems.require(
            self.information in kinds, f"information={self.information!r} must be one of {', '.join(map(repr, kinds))}"
        )
        problems.raise_any()

    @property
    def drift_budget(self) -> float | None:
        """`kl_budget`, where the strength is calibrated."""
        return self.kl_budget if self.strength is None and self.alpha is None else None

    def problems_with(self, trained: Trained, samples: Samples, forget: Sequence[str]) -> list[str]:
        """The true information of a task that cannot name its answers."""
        if self.information == "empirical" or type(trained.task).answers is not Task.answers:
            return []
        return [f"{type(trained.task).__name__} cannot name its answers (Task.answers); use information='empirical'"]

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        started = time.perf_counter()
        retain = samples.without(forget)
        function = ModelFunction(trained)
        information = fisher_diagonal(function, retain, self.information, callbacks=callbacks)
        information = information.clamp_min(self.floor * float(information.mean()))
        original = function.flatten(function.parameters)
        # A second request must not draw the first one's noise again.
        draw = generator(seed, "Fisher noise", len(trained.history))
        noise = torch.randn(original.shape, generator=draw).to(original)
        direction = information.pow(-0.5 if self.alpha else -0.25) * noise

        drift = Drift(function, retain, seed)
        given = self.alpha**0.5 if self.alpha else self.strength
        if given is None:
            strength, kl = self._calibrate(drift, original, direction, information, left_of(self.kl_budget, trained))
        else:
            strength, kl = given, drift(function.unflatten(original + given * direction))
        unlearned = function.unflatten(original + strength * direction)
        return trained.with_parameters(
            unlearned,
            Event(
                kind="unlearned",
                by=repr(self),
                samples=len(forget),
                steps=-(-len(retain) // trained.recipe.batch_size),
                seconds=time.perf_counter() - started,
                details={
                    "strength": strength,
                    "calibrated": given is None,
                    "kl": kl,
                    "kl_left": self.left(trained),
                },
            ),
            forget,
        )

    @staticmethod
    def _calibrate(
        drift: Drift, original: Tensor, direction: Tensor, information: Tensor, budget: float
    ) -> tuple[float, float]:
        """The largest strength whose noise stays within the budget (to 2 %), and what it costs."""
        # Near the model, divergence is half the information's square of a step; of samples learned by heart there is
        # less information than of others, whence a third.
        likely = math.sqrt(2 * budget / max(float((information * direction.square()).sum()), 1e-30)) / 3
        # Beyond a hundred times the weights' own size, nothing is left of them.
        most = 1e2 * float(original.norm() / direction.norm())
        return furthest(
            lambda s: drift(drift.function.unflatten(original + s * direction)), budget, first=likely, longest=most
        )
