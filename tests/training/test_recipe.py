import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unscathed import BadInputError, Flip, Recipe, Shift


def test_recipes_survive_json() -> None:
    recipe = Recipe(epochs=1.5, optimizer="sgd", augment=(Flip(0.25), Shift(3)))
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_all_that_is_wrong_with_a_recipe_is_named_at_once() -> None:
    with pytest.raises(BadInputError) as caught:
        Recipe(epochs=1, steps=5, batch_size=0, learning_rate=float("nan"), warmup=1, optimizer="adam")  # type: ignore[arg-type]
    text = str(caught.value)
    for words in ("5 problems", "give one", "batch_size=0", "learning_rate=nan", "warmup=1", "'adam'"):
        assert words in text


def test_durations() -> None:
    assert Recipe(epochs=2, batch_size=10).total_steps(100) == 20
    assert Recipe(epochs=0.5, batch_size=10).total_steps(100) == 5
    assert Recipe(epochs=0.01, batch_size=10).total_steps(100) == 1
    assert Recipe(steps=7, batch_size=10).total_steps(100) == 7
    assert Recipe(epochs=3, batch_size=64).total_steps(10) == 3
    assert Recipe(steps=20, batch_size=10).total_epochs(100) == 2
    assert Recipe().epochs == 10


@given(st.integers(1, 300), st.floats(0, 0.9))
def test_one_cycle_rises_to_the_peak_and_falls(total: int, warmup: float) -> None:
    recipe = Recipe(warmup=warmup)
    rates = [recipe.rate(step, total) for step in range(total)]
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
