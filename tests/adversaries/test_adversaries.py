"""One table of adversaries drives what holds for all."""

from typing import Any

import pytest
import torch
from tests.support import blobs, tiny_task

from unscathed import BadInputError, BlindView, OutputView, ParameterView, Recipe, Trained, fit
from unscathed.adversaries import Adversary, OneClass, OutputAware, ParameterAware, Random

SAMPLES = blobs(60, spread=0.8)
VALIDATION = blobs(30, seed=5, spread=0.8)
FAMILIES: list[type[Adversary[Any]]] = [Random, OneClass, OutputAware, ParameterAware]


@pytest.fixture(scope="module")
def trained() -> Trained:
    return fit(tiny_task(), SAMPLES, Recipe(epochs=5, batch_size=16), seed=0)


@pytest.fixture
def view(trained: Trained) -> ParameterView:
    return ParameterView(trained, SAMPLES, validation=VALIDATION)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("budget", "count"), [(0.05, 3), (0.001, 1), (1, 1), (17, 17)])
def test_budgets_are_exact(family: Any, budget: float, count: int, view: ParameterView) -> None:
    chosen = family(budget).choose(view)
    assert len(chosen) == len(set(chosen)) == count
    assert set(chosen) <= set(SAMPLES.ids)
    assert family(budget).choose(view) == chosen, "the same view gives the same answer"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("budget", [0, -1, 0.0, 1.0, 1.5, -0.2, float("nan")])
def test_budgets_that_cannot_be(family: Any, budget: float) -> None:
    with pytest.raises(BadInputError, match="budget"):
        family(budget)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_budget_of_everything_is_refused(family: Any, view: ParameterView) -> None:
    with pytest.raises(BadInputError, match="leaves none of 60"):
        family(60).choose(view)


def test_an_adversary_that_is_shown_too_little_says_so(trained: Trained) -> None:
    with pytest.raises(BadInputError, match="needs a OutputView, and a BlindView shows less"):
        OutputAware(3).choose(BlindView(SAMPLES))  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="needs a ParameterView, and a OutputView shows less"):
        ParameterAware(3).choose(OutputView(trained, SAMPLES))  # type: ignore[arg-type]


def test_one_class_takes_its_class_first_and_then_the_next(view: ParameterView) -> None:
    def classes(chosen: tuple[str, ...]) -> list[int]:
        return SAMPLES.only(chosen).targets.tolist()

    assert set(classes(OneClass(12, target=1).choose(view))) == {1}
    overflowing = classes(OneClass(30, target=2).choose(view))
    assert overflowing == [2] * 20 + [0] * 10
    assert len(set(classes(OneClass(9, seed=3).choose(view)))) == 1
    with pytest.raises(BadInputError, match="no sample is of class 7"):
        OneClass(3, target=7).choose(view)


def test_output_aware_takes_the_least_sure(trained: Trained, view: ParameterView) -> None:
    margins = trained.evaluate(SAMPLES).margins
    expected = margins.argsort()[:7].tolist()
    assert list(OutputAware(7).choose(view)) == [SAMPLES.ids[p] for p in expected]


def test_parameter_aware_takes_the_best_aligned_gradients(trained: Trained, view: ParameterView) -> None:
    model = trained.model()

    def gradient(samples: Any) -> torch.Tensor:
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(samples.inputs), samples.targets).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])  # type: ignore[union-attr]

    direction = gradient(VALIDATION)
    alignment = torch.stack([gradient(SAMPLES.only([i])) @ direction for i in SAMPLES.ids])
    expected = alignment.argsort(descending=True)[:7].tolist()
    assert list(ParameterAware(7).choose(view)) == [SAMPLES.ids[p] for p in expected]
