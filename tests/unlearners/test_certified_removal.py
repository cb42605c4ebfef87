"""Certified removal: exact where it should be, within the paper's bounds elsewhere, and honest about what is spent."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support import blobs, digit_setup, tiny_task, trained_by_hand
from tests.support.tasks import Ridge
from torch import Tensor, nn
from torch.nn import functional

from unscathed import (
    BadInputError,
    Batch,
    CertifiedRemoval,
    ClassificationTask,
    Fisher,
    Flip,
    Healer,
    Recipe,
    Samples,
    Task,
    Trained,
)
from unscathed.adversaries import BlindView, Random
from unscathed.unlearners.last_layer import LastLayer

RECIPE = Recipe(epochs=5, batch_size=16, device="cpu")
METHOD = CertifiedRemoval()
LIPSCHITZ = {"logistic": 1 / 4, "softmax": math.sqrt(2) / (3 * math.sqrt(3))}
"""Of the loss's second derivative. Softmax: the third central moment of what lies within √2‖v‖, (√2‖v‖)³ / (6√3)."""


class Logistic(Task):
    """As many independent logistic regressions on the same samples as there are outputs, float64."""

    def __init__(self, dimensions: int, outputs: int = 1) -> None:
        super().__init__()
        self.shape = (dimensions, outputs)

    def build(self) -> nn.Module:
        return nn.Linear(*self.shape, bias=False, dtype=torch.float64)

    def losses(self, outputs: Any, batch: Batch) -> Tensor:
        return functional.softplus(-batch.targets[:, None] * outputs).sum(dim=1)


def linear(inputs: int = 3, classes: int = 3) -> ClassificationTask:
    return ClassificationTask(lambda: nn.Linear(inputs, classes), classes)


def regression(count: int = 40) -> Samples:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    return Samples(inputs, inputs.sum(dim=1) + torch.randn(count, generator=generator, dtype=torch.float64))


def in_the_ball(kind: str, seed: int, count: int = 300, copies: int = 8) -> Samples:
    """Points of norm at most 1, float64; the last ones are copies of one, so that a removal's size can be set."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    inputs = inputs / inputs.norm(dim=1, keepdim=True).clamp_min(1)
    inputs[-copies:] = inputs[-copies]
    if kind == "logistic":
        noisy = inputs.sum(dim=1) + torch.randn(count, generator=generator, dtype=torch.float64) > 0
        targets = 2 * noisy.double() - 1
    else:
        targets = (inputs + torch.randn(inputs.shape, generator=generator, dtype=torch.float64))[:, :3].argmax(dim=1)
    targets[-copies:] = targets[-copies].clone()
    return Samples(inputs, targets)


def task_of(kind: str) -> Task:
    if kind == "logistic":
        return Logistic(4)
    return ClassificationTask(lambda: nn.Linear(4, 3, bias=False, dtype=torch.float64), 3)


def owed(trained: Trained) -> float:
    return METHOD.account(trained).last.residual


def state(trained: Trained, name: str) -> Tensor:
    return trained.checkpoints["certificate"][name]


# Where the loss is quadratic, everything has a closed form.


def perturbed_ridge(samples: Samples, ridge: float, perturbation: Tensor) -> Tensor:
    inputs, targets = samples.inputs, samples.targets
    gram = inputs.T @ inputs + ridge * len(samples) * torch.eye(5, dtype=torch.float64)
    return torch.linalg.solve(gram, inputs.T @ targets - perturbation)


def test_on_ridge_regression_removal_is_exact_however_often() -> None:
    samples = regression()
    trained = METHOD.fit(Ridge(5), samples, RECIPE, seed=1)
    noise = state(trained, "perturbation")[0]
    for forget in ([], samples.ids[:1], samples.ids[1:9], samples.ids[9:30]):
        if forget:
            before = trained.weights["weight"]
            trained, samples = METHOD.unlearn(trained, samples, forget), samples.without(forget)
            assert float((trained.weights["weight"] - before).norm()) > 1e-3, "there was something to unlearn"
        expected = perturbed_ridge(samples, METHOD.regularisation, noise)
        torch.testing.assert_close(trained.weights["weight"][0], expected, rtol=1e-10, atol=1e-12)
        assert owed(trained) < 1e-12 * len(samples)
    assert METHOD.account(trained).requests == 3


def test_the_perturbation_has_the_deviation_asked_for_and_the_weights_show_it() -> None:
    task = Logistic(30, outputs=60)
    samples = Samples(torch.randn(20, 30, dtype=torch.float64), torch.ones(20, dtype=torch.float64))
    for sigma in (1.0, 30.0):
        trained = CertifiedRemoval(perturbation=sigma).fit(task, samples, RECIPE, seed=1)
        noise = state(trained, "perturbation")
        assert float(noise.std()) == pytest.approx(sigma, rel=0.07)
        assert abs(float(noise.mean())) < 0.07 * sigma
        layer = LastLayer(trained, samples, METHOD.regularisation)
        torch.testing.assert_close(layer.gradient(trained.weights["weight"]), -noise, rtol=0, atol=1e-5 * sigma)


# Where it is not, what is left shrinks as the paper says.


@pytest.mark.parametrize(("steps", "order"), [(1, 2), (2, 4)])
@pytest.mark.parametrize("kind", ["logistic", "softmax"])
def test_what_is_left_grows_with_the_square_of_a_removal(kind: str, steps: int, order: int) -> None:
    orders = []
    for seed in range(10):
        samples = in_the_ball(kind, seed)
        trained = trained_by_hand(task_of(kind), samples)
        layer = LastLayer(trained, samples, METHOD.regularisation)
        weights, _ = layer.minimise(1e-12, what="test")
        left = []
        for count in (4, 8):
            rest = LastLayer(trained, samples.without(samples.ids[-count:]), METHOD.regularisation)
            moved = weights
            for _ in range(steps):
                moved = moved + rest.newton_step(moved, rest.gradient(moved))
            left.append(float(rest.gradient(moved).norm()))
        orders.append(math.log2(left[1] / left[0]))
    assert sum(orders) / len(orders) == pytest.approx(order, abs=0.15 * order)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("kind", ["logistic", "softmax"])
def test_the_exact_residual_is_within_the_papers_bounds(kind: str, count: int) -> None:
    method = CertifiedRemoval(perturbation=3.0)
    lipschitz = LIPSCHITZ[kind]
    for seed in range(10):
        samples = in_the_ball(kind, seed)
        trained = method.fit(task_of(kind), samples, RECIPE, seed=seed)
        retain = samples.without(samples.ids[-count:])
        unlearned = method.unlearn(trained, samples, samples.ids[-count:])
        step = state(unlearned, "weights") - state(trained, "weights")
        moved = retain.inputs @ step.T
        spectral = float(torch.linalg.matrix_norm(retain.inputs, 2))
        from_the_data = lipschitz * spectral * float(step.norm()) * float(moved.norm())
        # The paper's worst case takes ‖θ‖ ≤ C/λ; under a perturbation it is ‖b‖/(λn) more. C = √2 for softmax.
        gradient = 1.0 if kind == "logistic" else math.sqrt(2)
        removed = count * (2 * gradient + float(state(trained, "perturbation").norm()) / len(samples))
        at_worst = lipschitz * removed**2 / (method.regularisation**2 * len(retain))
        assert METHOD.account(unlearned).last.retrained is None
        assert 0 < owed(unlearned) <= from_the_data <= at_worst
        layer = LastLayer(trained, retain, method.regularisation)
        layer.perturbation = state(trained, "perturbation")
        assert float(layer.gradient(state(trained, "weights")).norm()) > from_the_data, "no step would not pass"
        recomputed = float(layer.gradient(state(unlearned, "weights")).norm())
        assert owed(unlearned) == pytest.approx(recomputed, rel=1e-9)


def test_one_request_after_the_other_comes_to_the_same_as_both_at_once() -> None:
    samples = in_the_ball("softmax", 0)
    trained = METHOD.fit(task_of("softmax"), samples, RECIPE)
    first, second = samples.ids[:3], samples.ids[3:5]
    once = METHOD.unlearn(trained, samples, first)
    one_by_one = METHOD.unlearn(once, samples.without(first), second)
    together = METHOD.unlearn(trained, samples, [*first, *second])
    layer = LastLayer(trained, samples.without([*first, *second]), METHOD.regularisation)
    layer.perturbation = state(trained, "perturbation")
    exact, _ = layer.minimise(1e-12, what="test")
    apart = float((state(trained, "weights") - exact).norm())
    for unlearned in (one_by_one, together):
        assert METHOD.account(unlearned).last.retrained is None
        distance = float((state(unlearned, "weights") - exact).norm())
        assert distance <= owed(unlearned) / layer.ridge
        assert distance < 0.02 * apart
    assert set(one_by_one.ids) == set(together.ids)
    # Each step starts from the whole gradient: what is owed is the last step's, not the sum.
    assert owed(one_by_one) < owed(together)


# Indistinguishable, as the certificate says: many draws of b at once, each an output of its own.


def worst_delta(epsilon: float, one: Tensor, other: Tensor) -> float:
    """The largest ``P(one in S) - e^ε P(other in S)`` over half-lines S of a linear statistic, both ways."""
    direction = torch.linalg.solve(torch.cov(torch.cat([one, other]).T), one.mean(dim=0) - other.mean(dim=0))
    statistics = [part @ direction for part in (one, other)]
    worst = 0.0
    for sign in (1, -1):
        ours, theirs = (sign * s for s in statistics)
        at = torch.cat([ours, theirs]).sort().values
        above = [1 - torch.searchsorted(s.sort().values, at, right=True).double() / len(s) for s in (ours, theirs)]
        for p, q in (above, reversed(above)):
            worst = max(worst, float((p - math.exp(epsilon) * q).max()))
    return worst


class Laws:
    """Draws of weights: after a step for one sample, and of minima without it, under the same b and under new ones."""

    def __init__(self, regularisation: float, sigma: float, draws: int) -> None:
        inputs = torch.tensor([[1.0, 0.3], [0.8, -0.5], [-0.6, 0.4], [-1.0, 0.1], [0.5, 0.9]] * 6 + [[3.0, 3.0]])
        targets = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0] * 6 + [-1.0])
        samples = Samples(inputs.double(), targets.double(), range(31))
        trained = trained_by_hand(Logistic(2, draws), samples)
        before, self.after = (LastLayer(trained, s, regularisation) for s in (samples, samples.without(["30"])))
        self.method = CertifiedRemoval(epsilon=0.5, delta=0.05, perturbation=sigma)
        self.noises = sigma * torch.randn(3, draws, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        before.perturbation = self.after.perturbation = self.noises[0]
        weights, _ = before.minimise(1e-8, what="test")
        self.stepped = weights + self.after.newton_step(weights, self.after.gradient(weights))
        self.residuals = self.after.gradient(self.stepped).norm(dim=1)
        self.retrained = self.minimum(1)

    def minimum(self, noise: int) -> Tensor:
        self.after.perturbation = self.noises[noise]
        return self.after.minimise(1e-8, what="test")[0]

    @property
    def within(self) -> Tensor:
        return self.residuals <= self.method.budget

    def delta(self, weights: Tensor) -> float:
        return worst_delta(self.method.epsilon, weights, self.retrained)


@pytest.mark.parametrize("sigma", [0.03, 0.1, 0.4])
def test_unlearned_and_retrained_weights_cannot_be_told_apart_where_the_account_says_so(sigma: float) -> None:
    """With too little noise they can, as well as a Gaussian can be told from itself shifted by what is owed."""
    laws = Laws(0.2, sigma, draws=15_000)
    method, found = laws.method, laws.delta(laws.stepped)
    normal, shift = torch.distributions.Normal(0.0, 1.0), float(laws.residuals.median()) / sigma
    above, below = (
        float(normal.cdf(torch.tensor(sign * shift / 2 - method.epsilon / shift, dtype=torch.float64)))
        for sign in (1, -1)
    )
    assert found == pytest.approx(above - math.exp(method.epsilon) * below, abs=0.02)
    if sigma == 0.4:
        assert laws.within.all()
        assert found <= method.delta
    else:
        assert not laws.within.any(), "the account would not have let these pass"
    if sigma == 0.03:
        assert found > 5 * method.delta


def test_where_the_draw_decides_whether_to_retrain_the_same_noise_must_be_kept() -> None:
    laws = Laws(0.05, 3.0, draws=4000)
    assert 0.5 < float(laws.within.double().mean()) < 0.95
    within = laws.within[:, None]
    assert laws.delta(torch.where(within, laws.stepped, laws.minimum(0))) < 0.02
    assert laws.delta(torch.where(within, laws.stepped, laws.minimum(2))) > 1.5 * laws.method.delta


def test_the_deltas_that_the_budget_stands_for() -> None:
    """Under a shift by the whole budget, the privacy loss exceeds ε with a probability of at most δ."""
    normal = torch.distributions.Normal(0.0, 1.0)
    for epsilon in (0.1, 1.0, 2 * math.log(3)):
        for delta in (0.1, 1e-2, 1e-4, 1e-8):
            method = CertifiedRemoval(epsilon=epsilon, delta=delta, perturbation=7.0)
            shift = method.budget / method.perturbation
            beyond = float(normal.cdf(torch.tensor(shift / 2 - epsilon / shift, dtype=torch.float64)))
            assert beyond <= delta
    assert CertifiedRemoval(delta=1e-4).budget == pytest.approx(1 / math.sqrt(2 * math.log(1.5e4)))


# The account.


def spent_model(tmp_path: Path | None = None) -> tuple[CertifiedRemoval, Trained, Samples]:
    method = CertifiedRemoval(perturbation=1.0)
    trained = method.fit(linear(), blobs(), RECIPE, seed=0)
    return method, trained, blobs()


def test_the_account_is_kept_saved_and_restarted_when_the_budget_is_spent(tmp_path: Path) -> None:
    method, trained, samples = spent_model()
    account = method.account(trained)
    assert (account.requests, account.void) == (0, None)
    assert account.last.residual < 1e-5 * account.last.budget
    assert account.last.budget == method.budget
    for count in (1, 2):
        gone, rest = samples.ids[:1], samples.without(samples.ids[:1])
        trained, samples = method.unlearn(trained, samples, gone), rest
        trained.save(tmp_path / str(count))
        loaded = Trained.load(tmp_path / str(count), linear())
        assert method.account(loaded) == method.account(trained)
        trained = loaded
        account = method.account(trained)
        assert account.requests == count
        assert 0 < account.spent < 1
        assert account.last.epsilon == pytest.approx(account.spent * method.epsilon)
        assert account.left == pytest.approx(account.last.budget - account.last.residual)
    assert "after 2 requests" in str(account)

    first = [i for i, c in zip(samples.ids, samples.targets.tolist(), strict=True) if c == 0]
    many = method.unlearn(trained, samples, first[1:])
    account = method.account(many)
    why = account.last.retrained
    assert why is not None
    assert "over the budget" in why
    assert account.requests == 0
    assert len(account.entries) == 4, "nothing is taken out of the account"
    assert account.last.residual < 1e-5 * account.last.budget
    assert torch.equal(state(many, "perturbation"), state(trained, "perturbation")), "a new one would give it away"
    afresh = LastLayer(many, samples.without(first[1:]), method.regularisation)
    afresh.perturbation = state(many, "perturbation")
    assert float(afresh.gradient(state(many, "weights")).norm()) == pytest.approx(account.last.residual, abs=1e-10)
    assert method.account(method.unlearn(many, samples.without(first[1:]), samples.ids[-1:])).requests == 1


@pytest.mark.parametrize("what", ["healed", "unlearned"])
def test_whatever_else_is_done_to_the_model_ends_the_certificate(what: str) -> None:
    method, trained, samples = spent_model()
    rest = samples.without(samples.ids[:1])
    trained = method.unlearn(trained, samples, samples.ids[:1])
    if what == "healed":
        changed = Healer(strategy="retain").heal(trained, retain=rest)
    else:
        changed, rest = Fisher().unlearn(trained, rest, rest.ids[:1]), rest.without(rest.ids[:1])
    account = method.account(changed)
    assert account.void is not None
    assert account.void.startswith(f"the model was {what} by ")
    assert account.left == 0
    assert "no certificate" in str(account)
    again = method.unlearn(changed, rest, rest.ids[:1])
    account = method.account(again)
    assert account.void is None
    assert account.last.retrained == method.account(changed).void
    noises = [state(changed, "perturbation"), state(again, "perturbation")]
    healed = Healer(strategy="retain").heal(again, retain=rest.without(rest.ids[:1]))
    noises.append(state(method.unlearn(healed, rest.without(rest.ids[:1]), rest.ids[1:2]), "perturbation"))
    correlations = torch.corrcoef(torch.stack(noises).flatten(1)).triu(1)
    assert float(correlations.abs().max()) < 0.9, "each retraining after another's change draws noise of its own"
    layer = LastLayer(again, rest.without(rest.ids[:1]), method.regularisation)
    layer.perturbation = state(again, "perturbation")
    assert float(layer.gradient(state(again, "weights")).norm()) <= method.budget
    torch.testing.assert_close(again.weights["weight"], state(again, "weights")[:, :3].float())
    torch.testing.assert_close(again.weights["bias"], state(again, "weights")[:, 3].float())


# What it refuses.


def test_what_fit_cannot_work_with_is_named_at_once() -> None:
    with pytest.raises(BadInputError, match="2 problems") as caught:
        METHOD.fit(tiny_task(), blobs(), replace(RECIPE, augment=(Flip(),)))
    assert "freeze them" in str(caught.value)
    assert "leave augment empty" in str(caught.value)


class Corners(Ridge):
    """Absolute error: convex, and without a second derivative to step by."""

    def losses(self, outputs: Any, batch: Batch) -> Tensor:
        return (outputs.squeeze(1) - batch.targets).abs()


def test_a_descent_that_does_not_arrive_is_an_error() -> None:
    with pytest.raises(BadInputError, match="a loss with corners"):
        METHOD.fit(Corners(5), regression(), RECIPE)


def test_what_unlearning_needs_is_asked_for() -> None:
    method, trained, samples = spent_model()
    plain = trained_by_hand(linear(), samples)
    with pytest.raises(BadInputError, match=r"no certificate; train it with CertifiedRemoval\(…\)\.fit"):
        method.unlearn(plain, samples, samples.ids[:1])
    with pytest.raises(BadInputError, match="no certificate"):
        method.account(plain)
    with pytest.raises(BadInputError, match="fitted with epsilon=1, perturbation=1; use the same"):
        CertifiedRemoval(perturbation=2.0, epsilon=0.5).unlearn(trained, samples, samples.ids[:1])
    with pytest.raises(BadInputError, match="2 ids of the model are not in the samples"):
        method.unlearn(trained, samples.without(samples.ids[1:3]), samples.ids[:1])


@pytest.mark.parametrize("epsilon", [0.0, 2.2])
def test_settings_that_cannot_be(epsilon: float) -> None:
    with pytest.raises(BadInputError, match="5 problems"):
        CertifiedRemoval(epsilon=epsilon, delta=0, perturbation=-1, regularisation=math.inf, newton_steps=0)


# On real digits.


def test_digits_stay_whole_and_a_collapse_can_be_asked_for() -> None:
    made = digit_setup()
    samples = made.samples.only(made.samples.ids[:700])
    task = ClassificationTask(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), 10)
    original = METHOD.fit(task, samples, made.recipe, seed=0)
    assert original.score(made.test) > 0.85
    forget = Random(0.05, seed=0).choose(BlindView(samples))
    spent = []
    for method in (METHOD, CertifiedRemoval(newton_steps=2)):
        unlearned = method.unlearn(original, samples, forget)
        assert unlearned.score(made.test) > original.score(made.test) - 0.03
        assert method.account(unlearned).last.retrained is None
        spent.append(method.account(unlearned).spent)
    assert 0.1 < spent[0] < 1
    assert spent[1] < spent[0] ** 2
    assert CertifiedRemoval(perturbation=1e4).fit(task, samples, made.recipe, seed=0).score(made.test) < 0.5
