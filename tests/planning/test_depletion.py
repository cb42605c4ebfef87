import json
from dataclasses import replace
from typing import Any

import pytest
from tests.support import digit_setup

from unscathed import BadInputError, GradientAscent, Samples
from unscathed.adversaries import OneClass
from unscathed.planning import Depletion, DepletionRow, depletion

RECIPE = replace(digit_setup().recipe, epochs=4)


@pytest.fixture(scope="module")
def few() -> Samples:
    return digit_setup().samples.split(reserve=400, seed=0)[1]


def spend(samples: Samples, **changes: Any) -> Depletion:
    made = digit_setup()
    settings: dict[str, Any] = {"rate": 4, "unlearner": GradientAscent(), "seeds": (0, 1), **changes}
    return depletion(made.task, samples, made.test, settings.pop("recipe", RECIPE), **settings)


@pytest.fixture(scope="module")
def spent(few: Samples) -> Depletion:
    return spend(few, levels=(1.0, 0.1, 0.5))


def test_rows_are_the_first_requests_that_reach_a_level(spent: Depletion) -> None:
    assert spent.levels == (0.1, 0.5, 1.0)
    assert [(r.seed, r.level) for r in spent.rows] == [(s, level) for s in (0, 1) for level in (0.1, 0.5, 1.0)]
    for row in spent.rows:
        assert row.forgotten == 4 * row.requests
        # Each spare is somebody's twin, and one request earlier the level was not reached.
        assert round(40 * row.spent) == row.forgotten - row.missing
        assert row.level <= row.spent
        assert row.level == 1 or row.spent < row.level + 0.1
    assert [r.requests for r in spent.at(0.1)] == [1, 1]
    assert all(r.spent == 1 for r in spent.at(1.0))


def test_twins_are_farther_the_less_there_is_to_choose_from(spent: Depletion) -> None:
    assert spent.distance(1.0).mean > spent.distance(0.1).mean


def test_distances_are_those_since_the_level_before(few: Samples, spent: Depletion) -> None:
    """Measured at one level alone, all twins until then count."""
    whole = spend(few, levels=(0.5,), seeds=(0,)).rows[0]
    first, second = (r for r in spent.rows if r.seed == 0 and r.level in (0.1, 0.5))
    twins = [round(40 * first.spent), round(40 * (second.spent - first.spent))]
    assert whole.distance == pytest.approx((first.distance * twins[0] + second.distance * twins[1]) / sum(twins))
    assert first.distance != pytest.approx(second.distance)


def test_it_is_the_same_again(few: Samples, spent: Depletion) -> None:
    again = spend(few, levels=(0.1,))
    assert again.rows == tuple(r for r in spent.rows if r.level == 0.1)


def test_levels_that_are_never_reached_are_named(few: Samples) -> None:
    """Who asks for one class spends its spares alone."""
    found = spend(
        few, rate=None, adversary=OneClass(12, target=3), levels=(0.08, 0.5), recipe=replace(RECIPE, epochs=1)
    )
    assert [r.level for r in found.rows] == [0.08, 0.08]
    assert "50% was not reached with 2 seeds: nothing was left to ask for" in str(found)


def row(**changes: Any) -> DepletionRow:
    settings: dict[str, Any] = {
        "seed": 0, "level": 0.1, "spent": 0.1, "requests": 1, "forgotten": 4, "missing": 0, "original": 0.9,
        "gold": 0.9, "healed": 0.8, "control": 0.7, "distance": 0.5,
    }  # fmt: skip
    return DepletionRow(**{**settings, **changes})


def made(*rows: DepletionRow) -> Depletion:
    return Depletion(requests="4 random samples a request", share=0.1, levels=(0.1, 1.0), seeds=(0, 1), rows=rows)


def test_losses_are_means_over_the_seeds_that_got_there() -> None:
    found = made(row(), row(seed=1, healed=0.6, control=0.5), row(level=1.0, distance=float("nan")))
    assert found.loss(0.1).mean == pytest.approx(0.2)
    assert found.control_loss(0.1).mean == pytest.approx(0.3)
    assert found.loss(0.1).high == pytest.approx(0.2 + 12.7062 * 0.1, rel=1e-4)
    assert found.distance(0.1).mean == 0.5
    assert found.loss(1.0).n == 1
    text = str(found)
    assert "100% was not reached with 1 seeds" in text
    assert "+20.00 [" in text
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["rows"][2]["distance"] is None


@pytest.mark.parametrize(("healed", "told"), [(0.95, True), (0.9, False)])
def test_models_above_gold_are_suspected_of_memory(healed: float, told: bool) -> None:
    found = made(row(healed=healed), row(seed=1, healed=healed + 0.001))
    assert ("memory of what was to be forgotten" in str(found)) == told


def test_gain_is_paired_by_seed() -> None:
    found = made(row(healed=0.5, control=0.4), row(seed=1, healed=0.9, control=0.801))
    assert found.gain(0.1).mean == pytest.approx(0.0995)
    assert found.gain(0.1).low > 0


@pytest.mark.parametrize(
    ("controls", "words"),
    [((0.7, 0.701), "twins help"), ((0.9, 0.901), "twins harm"), ((0.7, 0.9), "twins change nothing for certain")],
)
def test_the_text_tells_whether_twins_did_anything(controls: tuple[float, float], words: str) -> None:
    assert words in str(made(row(control=controls[0]), row(seed=1, control=controls[1])))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"levels": ()}, "levels are empty"),
        ({"levels": (0.0, 0.5)}, "must lie above 0"),
        ({"share": 0.0}, "share=0.0 must be a share"),
        ({"share": 0.001}, "leaves one part empty"),
        ({"seeds": ()}, "too few; give at least 1"),
        ({"rate": 360}, "one request leaves none of the 360 samples"),
        ({"rate": None}, "give either adversary=… or rate=…"),
    ],
)
def test_bad_input_is_named_before_work_starts(few: Samples, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        spend(few, **changes)
