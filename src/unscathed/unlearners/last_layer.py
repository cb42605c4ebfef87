"""The last linear layer of a model, over frozen features, as the convex problem that it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import grad

from unscathed.curvature import conjugate_gradients
from unscathed.curvature.functional import jvp
from unscathed.problems import BadInputError, some
from unscathed.samples import Batch, Samples
from unscathed.task import Task, feature_layer
from unscathed.training import Callback, Trained
from unscathed.training.seeds import generator

DENSE = 1500
"""The most weights for which the Hessian is formed; more are solved for by conjugate gradients."""
ROWS = 1024


@dataclass(frozen=True)
class Rows:
    """Some samples as the last layer sees them.

    Args:
        features: what enters the layer, float64 [m, d]; with a column of ones where it has a bias.
        batch: what the task's loss looks at besides the outputs.
    """

    features: Tensor
    batch: Batch


class LastLayer:
    """``L_b(θ) = Σ_i ℓ_i(θ φ_i) + λn/2 ‖θ‖² + ⟨b, θ⟩`` over n samples, with its exact derivatives, in float64.

    θ, [k, d], are the layer's weights, its bias as the last column; φ_i is what enters the layer, computed once.
    ``λ > 0`` and losses that are convex in the outputs make L strongly convex.

    Args:
        trained: the model; all but its last linear layer is frozen (see `problems_with_freezing`).
        samples: the samples i.
        regularisation: λ.
    """

    def __init__(self, trained: Trained, samples: Samples, regularisation: float) -> None:
        model, machine = trained.model(), trained.machine
        layer = _layer(model)
        self.task = trained.task
        self.device = torch.device("cpu") if machine.device.type == "mps" else machine.device  # MPS has no float64
        self.rows: list[Rows] = []
        with torch.no_grad():
            for part in samples.batches(ROWS):
                batch = machine.stage(self.task.prepare(machine.stage(part)))
                features, _ = _through(model, self.task, batch)
                self.rows.append(_rows(self.task, layer, features, batch, self.device))
        self.count = len(samples)
        self.ridge = regularisation * len(samples)
        self.perturbation = torch.zeros(
            layer.out_features,
            layer.in_features + (layer.bias is not None),
            dtype=torch.float64,
            device=self.device,
        )
        """b, [k, d]; to be set, since one problem may be solved under several."""
        self.passes = 1
        """How often the samples were gone through: for the features once, a gradient once, a Hessian product twice."""
        self._names = {id(p): name for name, p in model.named_parameters()}
        self._layer = layer

    def parameters(self, weights: Tensor) -> dict[str, Tensor]:
        """θ as the layer's own parameters, by their names in the model."""
        found = {self._names[id(self._layer.weight)]: weights[:, : self._layer.in_features]}
        if self._layer.bias is not None:
            found[self._names[id(self._layer.bias)]] = weights[:, -1]
        return found

    def current(self) -> Tensor:
        """θ as the model has it, [k, d]."""
        parts = [self._layer.weight] if self._layer.bias is None else [self._layer.weight, self._layer.bias[:, None]]
        return torch.cat([part.detach().to(self.device).double() for part in parts], dim=1)

    def factors(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """``∇ℓ_i`` in the outputs, [n, k], and φ_i, [n, d]: each sample's gradient is the product of its two."""
        slopes = torch.cat([self._bend(rows, rows.features @ weights.T) for rows in self.rows])
        return slopes, torch.cat([rows.features for rows in self.rows])

    def leverages(self, weights: Tensor) -> Tensor:
        """``∇ℓ_iᵀ (∇²L)⁻¹ ∇ℓ_i`` of each sample, [n]: how far L's minimum moves without it, in L's own metric.

        Raises:
            BadInputError: the layer has so many weights that its Hessian is not formed.
        """
        if weights.numel() > DENSE:
            raise BadInputError(
                "cannot take leverages",
                [f"the last layer has {weights.numel()} weights, and its Hessian is formed for {DENSE} at most"],
            )
        factor = torch.linalg.cholesky(self._hessian([rows.features @ weights.T for rows in self.rows]))
        found = []
        for rows in self.rows:
            slopes = self._bend(rows, rows.features @ weights.T)
            gradients = (slopes[:, :, None] * rows.features[:, None, :]).flatten(1)
            found.append(torch.linalg.solve_triangular(factor, gradients.T, upper=False).square().sum(dim=0))
        return torch.cat(found)

    def gradient(self, weights: Tensor) -> Tensor:
        """``∇L(θ)``, [k, d]."""
        total = self.ridge * weights + self.perturbation
        for rows in self.rows:
            total = total + self._bend(rows, rows.features @ weights.T).T @ rows.features
        self.passes += 1
        return total

    def newton_step(self, weights: Tensor, gradient: Tensor, tolerance: float = 1e-12) -> Tensor:
        """``-(∇²L(θ))⁻¹ g``, [k, d].

        Args:
            weights: θ.
            gradient: g, [k, d].
            tolerance: relative residual of the solution, where it is found by conjugate gradients.
        """
        outputs = [rows.features @ weights.T for rows in self.rows]
        if weights.numel() <= DENSE:
            factor = torch.linalg.cholesky(self._hessian(outputs))
            return -torch.cholesky_solve(gradient.reshape(-1, 1), factor).view_as(weights)
        solution = conjugate_gradients(
            lambda v: self._product(outputs, v.view_as(weights)).reshape(-1),
            -gradient.reshape(-1),
            damping=self.ridge,
            iterations=weights.numel(),
            tolerance=tolerance,
        )
        return solution.vector.view_as(weights)

    def minimise(
        self, target: float, *, what: str, callbacks: Sequence[Callback] = (), iterations: int = 100
    ) -> tuple[Tensor, float]:
        """The minimum, from zero, by Newton steps that are halved until the gradient shrinks: ``(θ, ‖∇L(θ)‖)``.

        Args:
            target: the norm of the gradient that is small enough; rounding may stop the descent before.
            what: the job's name, for callbacks.
            callbacks: progress, one step a Newton step.
            iterations: the most Newton steps.
        """
        weights = torch.zeros_like(self.perturbation)
        gradient = self.gradient(weights)
        for callback in callbacks:
            callback.on_start(what, iterations)
        try:
            for taken in range(1, iterations + 1):
                if float(gradient.norm()) <= target:
                    break
                step = self.newton_step(weights, gradient, tolerance=1e-4)
                size = 1.0
                while size > 1e-9:
                    ahead = self.gradient(weights + size * step)
                    if float(ahead.norm()) < (1 - 1e-4 * size) * float(gradient.norm()):
                        break
                    size /= 2
                else:
                    break
                weights, gradient = weights + size * step, ahead
                for callback in callbacks:
                    callback.on_step(taken)
        finally:
            for callback in callbacks:
                callback.on_end()
        return weights, float(gradient.norm())

    def _bend(self, rows: Rows, outputs: Tensor) -> Tensor:
        """``∇ℓ_i`` in the outputs, [m, k]."""
        bend: Tensor = grad(lambda z: self.task.losses(z, rows.batch).sum())(outputs)
        return bend

    def _hessian(self, outputs: Sequence[Tensor]) -> Tensor:
        """``∇²L = Σ_i (∇²ℓ_i ⊗ φ_i φ_iᵀ) + r I``, [k·d, k·d]."""
        k, d = self.perturbation.shape
        upper = torch.zeros(k * d, k * d, dtype=torch.float64, device=self.device)
        for rows, z in zip(self.rows, outputs, strict=True):
            blocks = output_hessians(self.task, z, rows.batch)
            for row in range(k):
                weighted = blocks[:, row, row:, None] * rows.features[:, None, :]
                upper[row * d : (row + 1) * d, row * d :] += rows.features.T @ weighted.flatten(1)
        self.passes += 2 * k
        whole = upper.triu() + upper.triu(1).T
        whole.diagonal().add_(self.ridge)
        return whole

    def _product(self, outputs: Sequence[Tensor], vector: Tensor) -> Tensor:
        """``(∇²L - r I) v``, [k, d]."""
        total = torch.zeros_like(vector)
        for rows, z in zip(self.rows, outputs, strict=True):
            bent = jvp(partial(self._bend, rows), z, rows.features @ vector.T)[1]
            total += bent.T @ rows.features
        self.passes += 2
        return total


def problems_with_freezing(task: Task, samples: Samples) -> list[str]:
    """Why a task's last linear layer is no convex problem over frozen features, one sentence each.

    Args:
        task: whose model is looked at.
        samples: a few of them are tried.
    """
    with torch.random.fork_rng(devices=[]):
        model = task.build().eval()
    return [*_problems_with_what_moves(model), *problems_with_layer(model, task, samples)]


def problems_with_layer(model: nn.Module, task: Task, samples: Samples) -> list[str]:
    """Why a model's last linear layer is no convex problem, whatever is below it, one sentence each.

    Args:
        model: the model, on the CPU.
        task: what it is for.
        samples: a few of them are tried.
    """
    try:
        layer = _layer(model)
    except BadInputError:
        return [f"{type(model).__name__} has no nn.Linear layer to solve for; end the model with one"]
    found = []
    own = {id(p) for p in layer.parameters()}
    if sum(id(p) in own for _, p in model.named_parameters(remove_duplicate=False)) > len(own):
        found.append("the last linear layer shares its weights with another layer, so the features move with it")
    batch = task.prepare(samples.take(torch.arange(min(32, len(samples)))))
    with torch.no_grad():
        features, outputs = _through(model, task, batch)
    if features.ndim != 2:
        return [*found, f"the last linear layer sees inputs {tuple(features.shape)}; it must see one row a sample"]
    if not isinstance(outputs, Tensor) or not torch.equal(outputs, layer(features)):
        return [*found, "the outputs are not those of the last linear layer; end the model with it"]
    return [*found, *_problems_with_loss(task, layer, features, batch)]


def _problems_with_what_moves(model: nn.Module) -> list[str]:
    """Parameters below the last linear layer that are trained, or a last layer that is not."""
    if not any(isinstance(layer, nn.Linear) for layer in model.modules()):
        return []
    layer = _layer(model)
    own = {id(p) for p in layer.parameters()}
    named = model.named_parameters(remove_duplicate=False)
    loose = [name for name, p in named if p.requires_grad and id(p) not in own]
    found = []
    if loose:
        found.append(
            f"{len(loose)} parameters below the last linear layer are trainable ({some(loose)}); freeze them "
            "(requires_grad_(False)), or fit a linear model on the features of a frozen encoder"
        )
    if not all(p.requires_grad for p in layer.parameters()):
        found.append("the last linear layer is frozen itself; leave its parameters trainable")
    return found


def output_hessians(task: Task, outputs: Tensor, batch: Batch) -> Tensor:
    """``∇²ℓ_i`` in the outputs, [m, k, k]."""

    def gradient(z: Tensor) -> Tensor:
        bend: Tensor = grad(lambda z: task.losses(z, batch).sum())(z)
        return bend

    units = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
    return torch.stack([jvp(gradient, outputs, unit.expand_as(outputs))[1] for unit in units], dim=2)


def _problems_with_loss(task: Task, layer: nn.Linear, features: Tensor, batch: Batch) -> list[str]:
    try:
        rows = _rows(task, layer, features, batch, features.device)
        outputs = 2 * torch.randn(
            len(features), layer.out_features, dtype=torch.float64, generator=generator(0, "convexity")
        )
        bends = torch.linalg.eigvalsh(output_hessians(task, outputs, rows.batch))
    except (RuntimeError, NotImplementedError) as error:
        return [f"the loss cannot be differentiated twice in float64 ({str(error).splitlines()[0]})"]
    if float(bends.min()) < -1e-9 * max(1.0, float(bends.abs().max())):
        return ["the loss is not convex in the last layer's outputs, so there is no one minimum to certify"]
    return []


def _layer(model: nn.Module) -> nn.Linear:
    layer = feature_layer(model, None)
    assert isinstance(layer, nn.Linear)
    return layer


def _through(model: nn.Module, task: Task, batch: Batch) -> tuple[Tensor, object]:
    """What enters the last linear layer, and what the task makes of the batch."""
    caught: list[Tensor] = []
    handle = _layer(model).register_forward_pre_hook(lambda _, args: caught.append(args[0]))
    try:
        outputs = task.outputs(model, batch)
    finally:
        handle.remove()
    return caught[-1], outputs


def _rows(task: Task, layer: nn.Linear, features: Tensor, batch: Batch, device: torch.device) -> Rows:
    features = features.to(device).double()
    batch = Batch(*(part.to(device).double() if part.is_floating_point() else part.to(device) for part in batch))
    # Most losses look at targets alone; then stand-ins that take no memory replace the inputs.
    blank = batch._replace(inputs=batch.inputs.new_zeros(()).expand_as(batch.inputs))
    probe = torch.randn(len(features), layer.out_features, dtype=torch.float64, generator=generator(0, "probe"))
    probe = probe.to(device)
    if torch.equal(task.losses(probe, batch), task.losses(probe, blank)):
        batch = blank
    if layer.bias is not None:
        features = torch.cat([features, features.new_ones(len(features), 1)], dim=1)
    return Rows(features, batch)
