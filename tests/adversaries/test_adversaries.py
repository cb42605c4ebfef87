"""One table of adversaries drives what holds for all."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from tests.support import blobs, ridge_trained, tiny_task

from unscathed import BadInputError, BlindView, OutputView, ParameterView, Recipe, Samples, Trained, fit, fit_shadows
from unscathed.adversaries import (
    Adversary,
    FisherWeights,
    ForgettingEvents,
    GradientMatching,
    HighestConfidence,
    HighestLoss,
    Influential,
    Memorised,
    OneClass,
    Outliers,
    OutputAware,
    ParameterAware,
    Prototypes,
    QueryBudgetError,
    Random,
    Ranking,
    RareSubgroups,
    Representative,
    SurrogateGreedy,
    WholeHoldings,
    WorstCase,
)

SAMPLES = blobs(60, spread=0.8)
VALIDATION = blobs(30, seed=5, spread=0.8)
OWNERS = {i: f"requester {place % 7}" for place, i in enumerate(SAMPLES.ids)}
RECIPE = Recipe(epochs=5, batch_size=16)
EARLIER = [OutputView(fit(tiny_task(), SAMPLES, RECIPE.lasting(epochs=e), seed=0), SAMPLES) for e in (1, 2, 3)]
FAMILIES: dict[str, Callable[..., Adversary[Any]]] = {
    "Random": Random,
    "OneClass": OneClass,
    "Outliers": Outliers,
    "Prototypes": Prototypes,
    "Prototypes herding": partial(Prototypes, how="herding"),
    "RareSubgroups": RareSubgroups,
    "WholeHoldings": WholeHoldings,
    "OutputAware": OutputAware,
    "HighestLoss": HighestLoss,
    "HighestConfidence": HighestConfidence,
    "ForgettingEvents": partial(ForgettingEvents, earlier=EARLIER),
    "Memorised": partial(Memorised, shadows=fit_shadows(tiny_task(), SAMPLES, RECIPE, 4)),
    "Representative": Representative,
    "Representative herding": partial(Representative, how="herding"),
    "SurrogateGreedy": partial(SurrogateGreedy, task=tiny_task(), recipe=RECIPE, rounds=2),
    "ParameterAware": ParameterAware,
    "Influential": Influential,
    "Influential last layer": partial(Influential, curvature="last-layer"),
    "GradientMatching": GradientMatching,
    "WorstCase": WorstCase,
    "FisherWeights": FisherWeights,
}
FROM_LABELS = ["ForgettingEvents", "SurrogateGreedy"]
EVERY = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return fit(tiny_task(), SAMPLES, RECIPE, seed=0)


@pytest.fixture
def view(trained: Trained) -> ParameterView:
    return ParameterView(trained, SAMPLES, validation=VALIDATION, owners=OWNERS)


@EVERY
@pytest.mark.parametrize(("budget", "count"), [(0.05, 3), (0.001, 1), (1, 1), (17, 17), (59, 59)])
def test_budgets_are_exact(family: Any, budget: float, count: int, view: ParameterView) -> None:
    chosen = family(budget).choose(view)
    assert len(chosen) == len(set(chosen)) == count
    assert set(chosen) <= set(SAMPLES.ids)
    assert family(budget).choose(view) == chosen, "the same view gives the same answer"


@EVERY
@pytest.mark.parametrize("budget", [0, -1, 0.0, 1.0, 1.5, -0.2, float("nan")])
def test_budgets_that_cannot_be(family: Any, budget: float) -> None:
    with pytest.raises(BadInputError, match="budget"):
        family(budget)


@EVERY
def test_a_budget_of_everything_is_refused(family: Any, view: ParameterView) -> None:
    with pytest.raises(BadInputError, match="leaves none of 60"):
        family(60).choose(view)


@EVERY
def test_each_is_shown_as_it_was_made(family: Any) -> None:
    made = family(3)
    text = repr(made)
    assert text.startswith(f"{type(made).__name__}(budget=3")
    if not {"task", "earlier", "shadows"} & set(getattr(family, "keywords", {})):
        assert repr(eval(text)) == text


@EVERY
def test_the_least_that_each_needs_is_enough(family: Any, trained: Trained) -> None:
    made = family(5)
    if made.view_type is BlindView:
        view: BlindView = BlindView(SAMPLES, owners=OWNERS)
    elif made.view_type is OutputView:
        view = OutputView(trained, SAMPLES, queries=60)
    else:
        view = ParameterView(trained, SAMPLES, validation=VALIDATION)
    assert len(made.choose(view)) == 5


@EVERY
def test_what_asks_the_model_asks_once_about_each_sample(family: Any, trained: Trained) -> None:
    asks = family(5).view_type is OutputView
    view = OutputView(trained, SAMPLES, queries=60, owners=OWNERS)
    if family(5).view_type is not ParameterView:
        family(5).choose(view)
        assert view.queries_left == (0 if asks else 60)


@pytest.mark.parametrize("name", FAMILIES)
def test_predicted_classes_are_enough_or_are_refused(name: str, trained: Trained) -> None:
    made = FAMILIES[name](5)
    view = OutputView(trained, SAMPLES, labels_only=True, owners=OWNERS)
    if made.view_type is BlindView or name in FROM_LABELS:
        assert made.choose(view) == made.choose(OutputView(trained, SAMPLES, owners=OWNERS))
    elif made.view_type is OutputView:
        with pytest.raises(BadInputError, match="needs outputs, and this view answers with predicted classes alone"):
            made.choose(view)


def test_an_adversary_that_is_shown_too_little_says_so(trained: Trained) -> None:
    with pytest.raises(BadInputError, match="needs a OutputView, and a BlindView shows less"):
        OutputAware(3).choose(BlindView(SAMPLES))  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="needs a ParameterView, and a OutputView shows less"):
        ParameterAware(3).choose(OutputView(trained, SAMPLES))  # type: ignore[arg-type]
    with pytest.raises(QueryBudgetError, match="60 inputs are sent, and 59 of 59 queries are left"):
        OutputAware(3).choose(OutputView(trained, SAMPLES, queries=59))


def test_what_needs_no_classes_works_without(trained: Trained) -> None:
    regression, samples = ridge_trained()
    view = OutputView(regression, samples)
    for made in (Outliers(4), Prototypes(4), RareSubgroups(4), HighestLoss(4), HighestConfidence(4), Representative(4)):
        assert len(set(made.choose(view))) == 4  # type: ignore[attr-defined]
    with pytest.raises(BadInputError, match="predicts no classes"):
        ForgettingEvents(4, earlier=[view]).choose(view)
    with pytest.raises(BadInputError, match="needs a model that predicts classes"):
        SurrogateGreedy(4, task=tiny_task()).choose(view)
    words = BlindView(Samples(torch.arange(12).view(6, 2), torch.arange(6) % 2))
    for blind in (Outliers(2), Prototypes(2), RareSubgroups(2)):
        with pytest.raises(BadInputError, match=r"inputs are torch.int64: distances need"):
            blind.choose(words)  # type: ignore[attr-defined]


def test_values_are_shared_by_budgets(view: ParameterView) -> None:
    for name, family in FAMILIES.items():
        made = family(9)
        if isinstance(made, Ranking):
            assert made.choose(view, values=made.values(view)) == made.choose(view), name


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
