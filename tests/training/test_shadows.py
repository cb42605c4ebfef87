import pytest
import torch
from tests.support import digit_setup, one_thread

from unscathed import BadInputError, Recipe, Samples, fit_shadows
from unscathed.executors import Local


@pytest.fixture(scope="module")
def samples() -> Samples:
    digits = digit_setup().samples
    return digits.only(digits.ids[:101])


def test_each_sample_is_in_half_of_the_models(samples: Samples) -> None:
    shadows = fit_shadows(digit_setup().task, samples, Recipe(steps=2), 4)
    assert shadows.inside.sum(dim=0).tolist() == [2] * 101
    for model, inside in zip(shadows.models, shadows.inside, strict=True):
        assert set(model.ids) == {i for i, there in zip(samples.ids, inside.tolist(), strict=True) if there}
    assert len({tuple(mask.tolist()) for mask in shadows.inside}) == 4
    assert len({model.seed for model in shadows.models}) == 4


def test_an_executor_changes_no_bit_and_more_models_keep_the_first(samples: Samples) -> None:
    task, recipe = digit_setup().task, Recipe(steps=3)
    with one_thread():
        few = fit_shadows(task, samples, recipe, 2, seed=3)
    with Local(2, threads=1) as executor:
        many = fit_shadows(task, samples, recipe, 4, seed=3, executor=executor)
    for one, same in zip(few.models, many.models[:2], strict=True):
        assert all(torch.equal(same.weights[name], weight) for name, weight in one.weights.items())


def test_counts_that_make_no_halves(samples: Samples) -> None:
    for count in (0, 3):
        with pytest.raises(BadInputError, match=f"count={count}"):
            fit_shadows(digit_setup().task, samples, Recipe(steps=1), count)
