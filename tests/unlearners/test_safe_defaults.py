"""With default settings and 5 % random removal, no method may lose more than 10 points."""

import pytest
from tests.support import data_folder, digit_setup

from unscathed import (
    Fisher,
    GradientAscent,
    Influence,
    NegGradPlus,
    Retrain,
    Saliency,
    Samples,
    Scrub,
    SelectiveDampening,
    ShortRetraining,
    Sisa,
    Trained,
    Unlearner,
    fit,
)
from unscathed.adversaries import BlindView, Random
from unscathed.lab.setups import Setup, setup

METHODS: list[Unlearner] = [
    Retrain(),
    Sisa(),
    Sisa(aggregation="vote"),
    Fisher(),
    Influence(),
    Influence(curvature="ekfac"),
    Influence(curvature="last-layer"),
    GradientAscent(),
    NegGradPlus(),
    Scrub(),
    ShortRetraining(),
    Saliency(),
    SelectiveDampening(),
]
pytestmark = pytest.mark.filterwarnings("ignore:Influence took")


def loss_of_points(made: Setup, samples: Samples, original: Trained, unlearner: Unlearner, seed: int) -> float:
    forget = Random(0.05, seed=seed).choose(BlindView(samples))
    before = unlearner.fit(made.task, samples, made.recipe, seed=0) if isinstance(unlearner, Sisa) else original
    after = unlearner.unlearn(before, samples, forget)
    return 100 * (before.score(made.test) - after.score(made.test))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("unlearner", METHODS, ids=repr)
def test_on_digits(
    unlearner: Unlearner, seed: int, original: Trained, digits: tuple[Samples, Samples, Samples]
) -> None:
    assert loss_of_points(digit_setup(), digits[0], original, unlearner, seed) < 10


@pytest.fixture(scope="module")
def mnist() -> tuple[Setup, Samples, Trained]:
    """A twentieth of the training set: the full one is an experiment, not a test."""
    made = setup("mnist", data_folder("mnist"))
    _, samples = made.samples.split(reserve=3_000, seed=0)
    return made, samples, fit(made.task, samples, made.recipe, seed=0)


@pytest.mark.data
@pytest.mark.parametrize("unlearner", [Fisher(), Influence()], ids=repr)
def test_on_mnist(unlearner: Unlearner, mnist: tuple[Setup, Samples, Trained]) -> None:
    made, samples, original = mnist
    assert original.score(made.test) > 0.96
    assert loss_of_points(made, samples, original, unlearner, 0) < 10
