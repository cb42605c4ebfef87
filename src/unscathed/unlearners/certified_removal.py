"""Certified removal: a Newton step on a convex last layer, hidden under noise that training drew in advance."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unscathed.problems import BadInputError, Problems, some
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training import Callback, Event, Recipe, Trained, check_fit, state_of
from unscathed.training.seeds import generator, seeded
from unscathed.unlearners.base import Unlearner
from unscathed.unlearners.certificate import KEY, Account, Entry, is_certified
from unscathed.unlearners.last_layer import LastLayer, problems_with_freezing

LARGEST_EPSILON = 2 * math.log(3)
SHARE = 1e-6
"""`fit` descends until the gradient's norm is this share of the budget."""


@dataclass(frozen=True, kw_only=True)
class CertifiedRemoval(Unlearner):
    """Remove samples from a linear layer over frozen features, (ε, δ)-indistinguishably from retraining.

    `fit` draws ``b ~ N(0, σ² I)`` and minimises ``L_b(θ; D) = Σ_i ℓ_i(θ φ_i) + λn/2 ‖θ‖² + ⟨b, θ⟩``, with θ the last
    linear layer (bias included), φ_i what enters it, n = |D|. Forgetting takes the Newton step

        ``θ⁻ = θ - H⁻¹ ∇L_b(θ; D')``,  ``H = ∇²L(θ; D')``,  D' the retained samples,

    which from the minimum is the paper's ``θ + H⁻¹ Δ``. What is left of the gradient, ``u = ∇L_b(θ⁻; D')``, is
    computed exactly. θ⁻ is the minimum under ``b - u``, and hidden while ``‖u‖ ≤ σ ε / c`` with
    ``δ = 1.5 exp(-c²/2)``. A request that would leave more is answered by retraining, under the same b: u depends on
    b, so that a new b for some of its values only would itself tell the two apart. Since each step starts from the
    whole gradient, it repairs what earlier ones left: u is renewed by each request, where the paper, which does not
    look at b again, sums bounds on it. A model that something else changed (healing) has no certificate until the
    next request, which retrains it, under a new b.

    What is certified, and what it rests on, is in the guide to unlearners: weights alone, of requests made without
    having seen them, under a secret seed.

    Args:
        epsilon: ε, at most 2 log 3 (to where the paper's δ holds).
        delta: δ.
        perturbation: σ, in units of a sample's gradient. More noise buys a larger budget with accuracy.
        regularisation: λ.
        newton_steps: steps a request; the paper's is 1. A second squares what the first left, at its price.

    Source: Guo et al. 2020, "Certified Data Removal from Machine Learning Models", section 3, theorems 3 and 4.
    """

    trains_original = True

    epsilon: float = 1.0
    delta: float = 1e-4
    perturbation: float = 1.0
    regularisation: float = 1e-2
    newton_steps: int = 1

    def __post_init__(self) -> None:
        problems = Problems("cannot use CertifiedRemoval")
        problems.require(
            0 < self.epsilon <= LARGEST_EPSILON,
            f"epsilon={self.epsilon} must lie in 0…{LARGEST_EPSILON:.3f} (2 log 3), where the certificate is proven",
        )
        problems.require(0 < self.delta < 1, f"delta={self.delta} must lie between 0 and 1")
        for name in ("perturbation", "regularisation"):
            value = getattr(self, name)
            problems.require(math.isfinite(value) and value > 0, f"{name}={value} must be a positive number")
        problems.require(self.newton_steps >= 1, f"newton_steps={self.newton_steps} must be at least 1")
        problems.raise_any()

    @property
    def budget(self) -> float:
        """The largest ``‖u‖`` that is certified, ``σ ε / c``."""
        return self.perturbation * self.epsilon / math.sqrt(2 * math.log(1.5 / self.delta))

    @staticmethod
    def account(trained: Trained) -> Account:
        """What a model's certificate has spent, request by request, and whether it still holds.

        Raises:
            BadInputError: the model was not trained with a certificate.
        """
        return Account.of(trained)

    def fit(
        self,
        task: Task,
        samples: Samples,
        recipe: Recipe | None = None,
        *,
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
    ) -> Trained:
        """Train the last linear layer; what it returns can be unlearned from, healed and audited like any model.

        Args:
            task: what is learned. All but the last linear layer of its model must be frozen, its outputs must be that
                layer's, and its loss convex in them. The certificate covers this layer alone: what is frozen must not
                have been trained on the samples.
            samples: what to train on.
            recipe: its batch size, device and precision are used; the rest is for healing.
            seed: of the model's initialisation and of b. Whoever knows it can subtract b: in use it must be secret.
            callbacks: progress.

        Raises:
            BadInputError: the samples or the task's model do not suit; all problems are named at once.
        """
        started = time.perf_counter()
        recipe = recipe or Recipe()
        check_fit(task, samples)
        problems = Problems("cannot train with CertifiedRemoval")
        problems.extend(problems_with_freezing(task, samples))
        problems.require(not recipe.augment, "the recipe augments, but features are computed once; leave augment empty")
        problems.raise_any()
        with seeded(seed, "initialisation"):
            weights = state_of(task.build())
        blank = Trained(task=task, weights=weights, recipe=recipe, seed=seed, ids=())
        layer = LastLayer(blank, samples, self.regularisation)
        layer.perturbation = self._noise(layer, seed, 0)
        solution, residual = self._minimise(layer, "fitting", callbacks)
        event = self._event("fitted", len(samples), layer, residual, None, recipe, started)
        return replace(self._with(blank, layer, solution, event, []), ids=samples.ids)

    def problems_with(self, trained: Trained, samples: Samples, forget: Sequence[str]) -> list[str]:
        """No certificate, another's settings, or samples that are not the model's."""
        if not is_certified(trained):
            return [] if trained.shards else ["the model has no certificate; train it with CertifiedRemoval(…).fit(…)"]
        found = []
        theirs = Account.of(trained).last.settings
        different = [f"{name}={theirs[name]:g}" for name, value in self._settings.items() if theirs[name] != value]
        if different:
            found.append(f"the model was fitted with {', '.join(different)}; use the same")
        missing = set(trained.ids) - set(samples.ids)
        if missing:
            found.append(
                f"{len(missing)} ids of the model are not in the samples ({some(sorted(missing))}); the certificate "
                "needs all that it was trained on"
            )
        return found

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        started = time.perf_counter()
        layer = LastLayer(trained, samples.without(forget), self.regularisation)
        state = trained.checkpoints[KEY]
        why = Account.of(trained).void
        if why is not None:
            layer.perturbation = self._noise(layer, seed, len(trained.history))
        else:
            layer.perturbation = state["perturbation"].to(layer.device)
            solution = state["weights"].to(layer.device)
            gradient = layer.gradient(solution)
            for _ in range(self.newton_steps):
                solution = solution + layer.newton_step(solution, gradient)
                gradient = layer.gradient(solution)
            residual = float(gradient.norm())
            if not residual <= self.budget:
                why = f"the step would have left a gradient of {residual:.3g}, over the budget of {self.budget:.3g}"
        if why is not None:
            solution, residual = self._minimise(layer, "retraining", callbacks)
        event = self._event("unlearned", len(forget), layer, residual, why, trained.recipe, started)
        return self._with(trained, layer, solution, event, forget)

    def _noise(self, layer: LastLayer, seed: int, events: int) -> Tensor:
        """A perturbation that no earlier training of the model drew."""
        draw = generator(seed, "objective perturbation", events)
        noise = torch.randn(layer.perturbation.shape, generator=draw, dtype=torch.float64)
        return self.perturbation * noise.to(layer.device)

    def _minimise(self, layer: LastLayer, what: str, callbacks: Sequence[Callback]) -> tuple[Tensor, float]:
        """The minimum, or as near to it as rounding allows, and what is left of the gradient there."""
        solution, residual = layer.minimise(SHARE * self.budget, what=what, callbacks=callbacks)
        if not residual <= self.budget:
            raise BadInputError(
                "cannot train with CertifiedRemoval",
                [
                    f"the descent ended at a gradient of {residual:.3g}, over the budget of {self.budget:.3g}: raise "
                    "perturbation or regularisation; a loss with corners has no Newton steps"
                ],
            )
        return solution, residual

    @property
    def _settings(self) -> dict[str, float]:
        names = ("epsilon", "delta", "perturbation", "regularisation")
        return {name: float(getattr(self, name)) for name in names}

    def _event(
        self,
        kind: str,
        samples: int,
        layer: LastLayer,
        residual: float,
        retrained: str | None,
        recipe: Recipe,
        started: float,
    ) -> Event:
        entry = Entry(
            residual=residual,
            budget=self.budget,
            epsilon=self.epsilon * residual / self.budget,
            retrained=retrained,
            settings=self._settings,
        )
        batches = -(-layer.count // recipe.batch_size)
        return Event(
            kind=kind,
            by=repr(self),
            samples=samples,
            steps=layer.passes * batches,
            seconds=time.perf_counter() - started,
            details=entry.details(),
        )

    @staticmethod
    def _with(trained: Trained, layer: LastLayer, solution: Tensor, event: Event, forget: list[str]) -> Trained:
        """The model with the layer's new weights, rounded to its own precision, and the state to go on from."""
        state = {"weights": solution.cpu(), "perturbation": layer.perturbation.cpu()}
        changed = trained.with_parameters(layer.parameters(solution), event, forget)
        return replace(changed, checkpoints={**trained.checkpoints, KEY: state})
