from typing import Any

import pytest
import torch
from scipy.optimize import minimize
from tests.support import blobs, ridge_trained, tiny_task
from tests.support.descent import small_model
from torch import Tensor

from unscathed import BadInputError, ParameterView, Recipe, Samples, fit
from unscathed.adversaries import Random, WorstCase
from unscathed.adversaries.worst_case import onto_choices
from unscathed.curvature import ModelFunction


def test_choices_are_the_nearest_with_the_right_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    for count in (1, 3, 5):
        point = 2 * torch.randn(6, generator=generator, dtype=torch.float64)
        place = point.numpy()
        found = onto_choices(point, count)
        peer = minimize(
            lambda w, p=place: ((w - p) ** 2).sum(),
            [count / 6] * 6,
            bounds=[(0, 1)] * 6,
            constraints={"type": "eq", "fun": lambda w, k=count: w.sum() - k},
            tol=1e-12,
        )
        torch.testing.assert_close(found, torch.from_numpy(peer.x), rtol=0, atol=1e-6)
        assert float(found.sum()) == pytest.approx(count, abs=1e-12)


class Opened(WorstCase):
    """With the samples in their order, and one step of the search at a time."""

    def unlearned(self, function: ModelFunction, samples: Samples, chosen: Tensor) -> ModelFunction:
        relabelled = self._relabelled(function, samples) if self.aim == "erasure" else None
        moved = ModelFunction(small_model()[0])
        moved.parameters = self._unlearn(function, samples, relabelled, chosen)
        return moved

    def slope(self, unlearned: ModelFunction, samples: Samples, validation: Samples) -> Tensor:
        return self._slope(unlearned, samples, validation)


def losses(function: ModelFunction, samples: Samples) -> Tensor:
    return torch.cat([function.losses(function.parameters, batch) for batch in function.batches(samples)])


def test_the_slope_of_erasure_is_exact_since_signs_do_not_move() -> None:
    trained, samples = small_model()
    function, attack = ModelFunction(trained), Opened(6, learning_rate=0.02, epochs=3)
    chosen = 0.1 + 0.2 * torch.rand(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def objective(at: Tensor) -> float:
        return float(at @ losses(attack.unlearned(function, samples, at), samples))

    slope = attack.slope(attack.unlearned(function, samples, chosen), samples, samples)
    for place in (0, 7, 29):
        ahead, behind = chosen.clone(), chosen.clone()
        ahead[place] += 1e-6
        behind[place] -= 1e-6
        measured = (objective(ahead) - objective(behind)) / 2e-6
        assert measured == pytest.approx(float(slope[place]), rel=1e-6)


def test_the_slope_of_utility_is_that_of_one_step_whose_sign_is_left_out() -> None:
    trained, samples = small_model()
    validation = Samples(samples.inputs.flip(0) + 0.1, samples.targets)
    function, attack = ModelFunction(trained), Opened(6, aim="utility", learning_rate=0.02)
    chosen = torch.full((30,), 0.2, dtype=torch.float64)
    moved = attack.unlearned(function, samples, chosen)
    batch, held = next(moved.batches(samples)), next(moved.batches(validation))

    def step(weights: Tensor) -> dict[str, Tensor]:
        return torch.func.grad(lambda p: ((1 - 2 * weights) * moved.losses(p, batch)).mean())(moved.parameters)

    def cost(weights: Tensor) -> Tensor:
        after = {name: p - 1e-6 * step(weights)[name] for name, p in moved.parameters.items()}
        return moved.losses(after, held).mean()

    expected = -torch.func.grad(cost)(chosen)
    slope = attack.slope(moved, samples, validation)
    torch.testing.assert_close(slope / slope.norm(), expected / expected.norm(), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def view() -> ParameterView:
    samples = blobs(90, spread=0.8)
    trained = fit(tiny_task(), samples, Recipe(epochs=15, batch_size=16), seed=0)
    return ParameterView(trained, samples, validation=blobs(60, seed=5, spread=0.8))


def after(attack: Any, view: ParameterView, what: Samples, chosen: tuple[str, ...]) -> float:
    """The mean loss once the lower level has unlearned a set."""
    function = view.function()
    weights = torch.zeros(len(view.samples), dtype=torch.float64)
    weights[view.samples.positions(chosen)] = 1
    relabelled = attack._relabelled(function, view.samples) if attack.aim == "erasure" else None
    function.parameters = attack._unlearn(function, view.samples, relabelled, weights)
    return float(losses(function, what).mean())


def by_luck(view: ParameterView) -> list[tuple[str, ...]]:
    return [Random(0.2, seed=seed).choose(view) for seed in range(10)]


def test_what_the_worst_set_holds_is_still_known_after_unlearning(view: ParameterView) -> None:
    attack = WorstCase(0.2, learning_rate=0.01, epochs=3)
    known, *usual = (after(attack, view, view.samples.only(c), c) for c in (attack.choose(view), *by_luck(view)))
    assert known < 0.9 * min(usual)


def test_the_worst_set_for_utility_costs_validation_loss(view: ParameterView) -> None:
    attack = WorstCase(0.2, aim="utility", learning_rate=0.01, epochs=3)
    worst, *usual = (after(attack, view, view.validation, c) for c in (attack.choose(view), *by_luck(view)))
    assert worst > 1.1 * max(usual)


@pytest.mark.parametrize("aim", ["erasure", "utility"])
def test_the_best_round_is_kept_whichever_it_was(aim: Any, view: ParameterView) -> None:
    class Recorded(WorstCase):
        def _objective(self, unlearned: ModelFunction, asked: Samples, validation: Samples) -> float:
            found = super()._objective(unlearned, asked, validation)
            rounds.append((found, asked.ids))
            return found

    rounds: list[tuple[float, tuple[str, ...]]] = []
    attack = Recorded(0.2, aim=aim, learning_rate=0.1, rounds=6, step=0.5)
    chosen = attack.choose(view)
    assert len(rounds) == 6
    best, asked = min(rounds, key=lambda done: done[0])
    assert chosen == asked
    assert best < rounds[-1][0], "here the last is not the best"


def test_a_seed_gives_one_set(view: ParameterView) -> None:
    first, again, other = (WorstCase(30, seed=seed).choose(view) for seed in (0, 0, 1))
    assert first == again
    assert first != other, "other labels, other batches"


@pytest.mark.parametrize("aim", ["erasure", "utility"])
def test_tasks_without_classes_can_be_attacked(aim: Any) -> None:
    trained, samples = ridge_trained()
    assert len(WorstCase(5, aim=aim).choose(ParameterView(trained, samples, validation=samples))) == 5


def test_what_cannot_be_searched(view: ParameterView) -> None:
    with pytest.raises(BadInputError) as error:
        WorstCase(3, aim="both", rounds=0, epochs=0, learning_rate=0.0, step=-1.0)  # type: ignore[arg-type]
    assert len(error.value.problems) == 5
    trained, samples = small_model()
    single = samples.only([i for i, t in zip(samples.ids, samples.targets.tolist(), strict=True) if t == 1])
    one = ParameterView(trained, single, validation=samples)
    with pytest.raises(BadInputError, match="of one class"):
        WorstCase(3).choose(one)
    assert len(WorstCase(3, aim="utility").choose(one)) == 3
