from dataclasses import replace

import pytest
import torch
from tests.curvature.test_fisher import CASES, used
from tests.support import Ridge, blobs, ridge_trained, tiny_task, trained_by_hand
from tests.support.tasks import ridge_solution
from torch import Tensor, nn

from unscathed import BadInputError, Batch, ClassificationTask, Influence, Recipe, Samples, Task, Trained, fit
from unscathed.curvature import ModelFunction
from unscathed.training import DivergedError

CURVATURES = ["gauss-newton", "hessian", "ekfac", "last-layer"]
EXACT = {"iterations": 200, "tolerance": 1e-14, "curvature_samples": None, "kl_budget": None}


@pytest.mark.parametrize("curvature", CURVATURES)
@pytest.mark.parametrize("count", [1, 7, 20])
def test_on_ridge_regression_one_step_is_exact_retraining(count: int, curvature: str) -> None:
    ridge = 0.7
    trained, samples = ridge_trained(ridge=ridge)
    forget = samples.ids[:count]
    retain = samples.without(forget)
    unlearner = Influence(damping=ridge / len(retain), curvature=curvature, **EXACT)
    unlearned = unlearner.unlearn(trained, samples, forget)
    exact = ridge_solution(retain.inputs, retain.targets, ridge)
    torch.testing.assert_close(unlearned.weights["weight"][0], exact, rtol=1e-10, atol=1e-12)
    assert float((trained.weights["weight"][0] - exact).norm()) > 1e-4, "there was something to unlearn"


@pytest.mark.parametrize("curvature", CURVATURES)
def test_where_the_loss_is_quadratic_two_requests_are_their_union(curvature: str) -> None:
    ridge = 0.7
    trained, samples = ridge_trained(ridge=ridge)
    first, second = samples.ids[:6], samples.ids[6:15]

    def without(model: Trained, held: Samples, forget: tuple[str, ...]) -> Trained:
        left = len(held) - len(forget)
        return Influence(damping=ridge / left, curvature=curvature, **EXACT).unlearn(model, held, forget)

    twice = without(without(trained, samples, first), samples.without(first), second)
    union = without(trained, samples, (*first, *second))
    torch.testing.assert_close(twice.weights["weight"], union.weights["weight"], rtol=1e-10, atol=1e-12)


class Logistic(ClassificationTask):
    """Logistic regression of two classes without an intercept, float64."""

    def __init__(self) -> None:
        super().__init__(lambda: nn.Linear(4, 2, bias=False, dtype=torch.float64), 2)


def logistic_optimum(samples: Samples, ridge: float) -> Tensor:
    """``argmin Σ ℓ_i + ridge/2 ‖w‖²``, [8], by Newton's method; both classes' weights are each other's negative."""
    at = torch.zeros(4, dtype=torch.float64)  # half the difference of the two
    for _ in range(12):
        chance = torch.sigmoid(2 * samples.inputs @ at)
        slope = samples.inputs.T @ (chance - samples.targets) + ridge * at
        bend = 2 * (samples.inputs.T * (chance * (1 - chance))) @ samples.inputs
        at = at - torch.linalg.solve(bend + ridge * torch.eye(4, dtype=torch.float64), slope)
    assert float(slope.norm()) < 1e-11
    return torch.cat([-at, at])


COPIES = (3, 6, 12, 24)
"""How many are forgotten of a sample's 24 copies among 240: so the removed gradient grows as the share does."""


def logistic_errors(seed: int, unlearner: Influence | None) -> list[float]:
    """Distances to the retrained optimum, of a step of influence or (for None) along the gradient alone."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(240, 4, generator=generator, dtype=torch.float64)
    inputs[:24] = inputs[0]
    noise = torch.randn(240, generator=generator, dtype=torch.float64)
    noise[:24] = noise[0]
    samples = Samples(inputs, (inputs[:, 0] + noise > 0).long())
    ridge = 2.0
    at = logistic_optimum(samples, ridge)
    trained = trained_by_hand(Logistic(), samples, weights={"weight": at.view(2, 4)})
    found = []
    for count in COPIES:
        forget, retain = samples.only(samples.ids[:count]), samples.without(samples.ids[:count])
        if unlearner is None:
            function = ModelFunction(trained)
            moved = at + function.mean_gradient(forget) * count / len(retain)
        else:
            method = replace(unlearner, damping=ridge / len(retain))
            moved = method.unlearn(trained, samples, forget.ids).weights["weight"].flatten()
        found.append(float((moved - logistic_optimum(retain, ridge)).norm()))
    return found


def exponent(draws: list[list[float]]) -> float:
    """Of the error in the share, fitted over all draws."""
    x = torch.tensor(COPIES).double().log().expand(len(draws), -1)
    y = torch.tensor(draws).double().log()
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / x.square().sum())


@pytest.mark.parametrize("curvature", ["gauss-newton", "hessian", "last-layer"])
def test_on_logistic_regression_the_error_is_quadratic_in_the_share(curvature: str) -> None:
    method = Influence(curvature=curvature, **EXACT | {"iterations": 30})
    newton = [logistic_errors(seed, method) for seed in range(8)]
    plain = [logistic_errors(seed, None) for seed in range(8)]
    assert exponent(newton) == pytest.approx(2, abs=0.15)
    assert exponent(plain) == pytest.approx(1, abs=0.15), "without the curvature"
    ratios = torch.tensor(newton) / torch.tensor(plain)
    assert float(ratios[:, 0].median()) < 0.05


def test_a_step_that_costs_too_much_is_shortened_with_a_word_and_spends_the_budget(
    original: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    reckless = Influence(damping=1e-6, kl_budget=None, iterations=5).unlearn(original, digits[0], hard)
    assert reckless.history[-1].details["share"] == 1
    assert reckless.history[-1].details["kl"] > 0.01
    for budget in (0.01, 0.001):
        with pytest.warns(UserWarning, match=rf"took 0\.\d+ of its step: .* kl_budget={budget}"):
            guarded = Influence(damping=1e-6, kl_budget=budget, iterations=5).unlearn(original, digits[0], hard)
        details = guarded.history[-1].details
        assert 0.9 * budget < details["kl"] <= budget
        assert 0 < details["share"] < 1
        assert details["kl_of_whole_step"] == pytest.approx(reckless.history[-1].details["kl"])


def test_a_step_that_cannot_be_afforded_is_not_taken() -> None:
    trained, samples = ridge_trained()
    with pytest.raises(BadInputError, match="kl_budget"):
        Influence(kl_budget=-1.0)
    with pytest.warns(UserWarning, match="of its step"):
        timid = Influence(kl_budget=1e-300, damping=0.0).unlearn(trained, samples, samples.ids[:5])
    moved = (timid.weights["weight"] - trained.weights["weight"]).norm()
    assert float(moved) < 1e-6


def test_a_step_that_is_not_finite_is_an_error() -> None:
    _, samples = ridge_trained()
    blind = Samples(torch.cat([samples.inputs, torch.zeros(len(samples), 1).double()], dim=1), samples.targets)
    trained = trained_by_hand(Ridge(6), blind)
    for curvature in ("hessian", "ekfac"):
        with pytest.raises(DivergedError, match="not finite; raise damping=0"):
            Influence(damping=0.0, curvature=curvature).unlearn(trained, blind, blind.ids[:3])


class UpsideDown(Ridge):
    def losses(self, outputs: object, batch: Batch) -> Tensor:
        return -super().losses(outputs, batch)


def test_negative_curvature_is_an_error_for_gauss_newton_and_a_way_downhill_for_the_hessian() -> None:
    _, samples = ridge_trained()
    trained = trained_by_hand(UpsideDown(5), samples)
    with pytest.raises(DivergedError, match="not positive"):
        Influence().unlearn(trained, samples, samples.ids[:3])
    after = Influence(curvature="hessian", kl_budget=None).unlearn(trained, samples, samples.ids[:3])
    details = after.history[-1].details
    assert details["negative"] == 5
    assert details["least_eigenvalue"] < 0


def test_only_the_last_layer_moves_where_that_was_asked_for() -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=20), seed=0)
    after = Influence(curvature="last-layer").unlearn(trained, blobs(), blobs().ids[:3])
    moved = {name for name, w in trained.weights.items() if not torch.equal(w, after.weights[name])}
    assert moved == {"2.weight", "2.bias"}


@pytest.mark.parametrize("curvature", CURVATURES)
def test_derivatives_are_taken_in_float32_whatever_the_recipe_trains_in(curvature: str) -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=20, precision="bfloat16"), seed=0)
    twin = trained_by_hand(trained.task, blobs(), weights=trained.weights)
    one, other = (
        Influence(curvature=curvature, kl_budget=None).unlearn(t, blobs(), blobs().ids[:3]).weights
        for t in (trained, twin)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.filterwarnings("ignore:.*made by vmap", "ignore:Influence took")
@pytest.mark.parametrize("name", ["language", "transformer", "shared", "sequences", "regression"])
@pytest.mark.parametrize("curvature", ["gauss-newton", "hessian", "ekfac"])
def test_other_tasks_and_layers(name: str, curvature: str) -> None:
    task, samples = CASES[name]
    trained = used(trained_by_hand(task, samples))
    method = Influence(curvature=curvature, information="empirical", damping=1.0)
    after = method.unlearn(trained, samples, samples.ids[:2])
    assert all(torch.isfinite(w).all() for w in after.weights.values())
    assert any(not torch.equal(w, after.weights[n]) for n, w in trained.weights.items())


class Pair(Task):
    """Its outputs are two tensors, and it cannot name its answers."""

    def __init__(self, width: int, layer: type[nn.Module]) -> None:
        super().__init__(features=lambda _model, inputs: inputs)
        self.width = width
        self.layer = layer

    def build(self) -> nn.Module:
        return self.layer(self.width)

    def outputs(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        found = model(batch.inputs)
        return found, found

    def losses(self, outputs: tuple[Tensor, Tensor], batch: Batch) -> Tensor:
        return (outputs[0] * outputs[1]).sum(dim=1)


def test_what_cannot_be_done_is_refused_all_at_once() -> None:
    samples = Samples(torch.ones(6, 3000), torch.zeros(6))
    trained = trained_by_hand(Pair(3000, nn.LayerNorm), samples)
    refused = {
        "gauss-newton": ["Pair are not one tensor"],
        "last-layer": ["Pair are not one tensor", "LayerNorm has no trainable nn.Linear layer"],
        "hessian": ["LayerNorm has 6,000 parameters"],
        "ekfac": ["LayerNorm has no nn.Linear", "Pair cannot name its answers"],
    }
    for curvature, problems in refused.items():
        with pytest.raises(BadInputError) as caught:
            Influence(curvature=curvature).unlearn(trained, samples, ["nobody"])
        for problem in ("1 ids are unknown", *problems):
            assert problem in str(caught.value)
        assert len(caught.value.problems) == len(problems) + 2


@pytest.mark.parametrize("curvature", ["hessian", "ekfac"])
def test_outputs_may_be_several_tensors_where_they_are_not_differentiated_in(curvature: str) -> None:
    def build(width: int) -> nn.Module:
        return nn.Linear(width, 2)

    samples = Samples(torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(6))
    trained = trained_by_hand(Pair(3, build), samples)  # type: ignore[arg-type]
    method = Influence(curvature=curvature, information="empirical", kl_budget=None)
    after = method.unlearn(trained, samples, samples.ids[:1])
    assert not torch.equal(after.weights["weight"], trained.weights["weight"])


def test_settings_outside_their_names() -> None:
    with pytest.raises(BadInputError) as caught:
        Influence(curvature="kfac", information="guessed", tolerance=0.0)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 3
