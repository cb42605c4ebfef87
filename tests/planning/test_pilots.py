import math
from dataclasses import replace
from typing import Any

import pytest
from tests.support import digit_setup

from unscathed import (
    BadInputError,
    Callback,
    GradientAscent,
    Healer,
    OutputView,
    Samples,
    Sisa,
)  # fmt: skip
from unscathed.adversaries import Adversary, OneClass, OutputAware, ParameterAware
from unscathed.planning import ReservePlan, plan_reserve

RECIPE = replace(digit_setup().recipe, epochs=8)


@pytest.fixture(scope="module")
def few() -> Samples:
    return digit_setup().samples.split(reserve=500, seed=0)[1]


def plan(samples: Samples, **changes: Any) -> ReservePlan:
    made = digit_setup()
    settings: dict[str, Any] = {
        "rate": 20, "horizon": 2, "tolerance": 0.5, "unlearner": GradientAscent(), "sizes": (0.06, 0.2),
        "seeds": (0, 1),
    }  # fmt: skip
    settings.update(changes)
    return plan_reserve(made.task, samples, settings.pop("test", made.test), settings.pop("recipe", RECIPE), **settings)


@pytest.fixture(scope="module")
def made(few: Samples) -> ReservePlan:
    return plan(few)


def test_pilots_measure_real_healings(made: ReservePlan) -> None:
    assert [(p.share, p.seed) for p in made.points] == [(0.06, 0), (0.06, 1), (0.2, 0), (0.2, 1)]
    for point in made.points:
        assert point.spares == round(point.share * 500)
        assert point.forgotten == 40
        assert sum(point.asked.values()) == 40
        assert sum(point.held.values()) == point.spares
        assert 0.5 < point.gold < 1
        assert point.original > 0.5
        assert -0.1 < point.loss < 0.5
        assert 0 < point.distance < 1
    assert any(p.healed != p.control for p in made.points), "the control has no twins"
    assert [sum(p.missing.values()) > 0 for p in made.points] == [True, True, False, False]
    assert [p.ran_out is None for p in made.points] == [False, False, True, True]
    assert sum(made.question.samples.values()) == 500


def test_the_text_shows_curve_control_and_reach(made: ReservePlan) -> None:
    text = str(made)
    assert text.count("●") == 2
    assert "2 times 20 random samples a request" in text
    assert "2 of 2" in text
    assert "healing on retained data alone" in text
    assert "extrapolated" in text


def test_the_same_plan_again_to_the_bit(few: Samples, made: ReservePlan) -> None:
    assert plan(few).to_json() == made.to_json()


def test_exhaustion_is_counted_by_class(few: Samples) -> None:
    """Requests for one class spend its spares alone, and the last ones go without."""
    found = plan(few, rate=None, adversary=OneClass(6, target=3), horizon=3, sizes=(0.2,), seeds=(0, 1))
    for point in found.points:
        assert point.asked == {"3": 18}
        held = point.held["3"]
        assert held < 18
        assert point.missing == {"3": 18 - held}
        assert point.ran_out == held // 6 + 1
    assert {name: count for name, count in found.needed.items() if count} == {"3": 18}
    assert found.limit == "exhaustion"
    assert found.size == math.ceil(18 * 500 / int((few.targets == 3).sum()))


def test_a_reserve_of_the_planned_size_runs_out_for_nobody(few: Samples) -> None:
    settings: dict[str, Any] = {"rate": None, "adversary": OneClass(6, target=3), "recipe": replace(RECIPE, epochs=1)}
    planned = plan(few, sizes=(0.05,), tolerance=2.0, **settings)
    assert planned.limit == "exhaustion"
    assert planned.size is not None
    assert all(p.missing for p in planned.points)
    enough, less = (plan(few, sizes=(size / 500,), **settings) for size in (planned.size, planned.size - 12))
    assert not any(p.missing for p in enough.points)
    assert any(p.missing for p in less.points)


@pytest.mark.parametrize("adversary", [OutputAware(0.05), ParameterAware(20)], ids=repr)
def test_adversaries_see_the_model_as_it_then_is(few: Samples, adversary: Adversary[Any]) -> None:
    found = plan(few, rate=None, adversary=adversary, sizes=(0.1,), seeds=(0, 1), recipe=replace(RECIPE, epochs=1))
    assert all(p.forgotten == (43 if isinstance(adversary.budget, float) else 40) for p in found.points)


def test_each_seed_draws_requests_of_its_own(few: Samples) -> None:
    seen: list[tuple[str, ...]] = []

    class Watched(OutputAware):
        def choose(self, view: OutputView, **_: Any) -> tuple[str, ...]:
            seen.append(super().choose(view))
            return seen[-1]

    plan(few, rate=None, adversary=Watched(5), horizon=3, sizes=(0.1,), recipe=replace(RECIPE, epochs=1))
    first, second = seen[:3], seen[3:]
    assert len(set(sum(first, ()))) == 15, "what was forgotten cannot be asked for again"
    assert set(sum(first, ())) != set(sum(second, ()))


def test_pilots_on_a_part_shrink_requests_with_it(few: Samples) -> None:
    found = plan(few, pilot=0.5, sizes=(0.2,), rate=10, recipe=replace(RECIPE, epochs=1))
    assert all(p.forgotten == 10 and p.spares == 50 for p in found.points)
    assert found.question.scale == 2
    assert sum(found.needed.values()) >= 20
    odd = plan(few, pilot=0.5, sizes=(0.2,), rate=15, recipe=replace(RECIPE, epochs=1))
    assert all(p.forgotten == 16 for p in odd.points)
    assert odd.question.scale == 15 / 8


def test_twins_alone_and_shards_are_pilots_like_any_other(few: Samples) -> None:
    settings: dict[str, Any] = {"sizes": (0.02,), "recipe": replace(RECIPE, epochs=1)}
    assert len(plan(few, healer=Healer(strategy="twins"), **settings).points) == 2
    assert len(plan(few, unlearner=Sisa(shards=2, slices=1), healer=Healer(steps=4), **settings).points) == 2


class Watching(Callback):
    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.open = 0

    def on_start(self, what: str, steps: int) -> None:
        self.jobs.append(what)
        self.open += 1

    def on_end(self) -> None:
        self.open -= 1


def test_progress_tells_of_pilots_and_of_what_they_do(few: Samples) -> None:
    watching = Watching()
    plan(few, sizes=(0.1,), horizon=1, recipe=replace(RECIPE, epochs=1), callbacks=[watching])
    assert watching.jobs[0] == "pilots"
    assert watching.jobs.count("fitting") == watching.jobs.count("gold") == 2
    assert watching.jobs.count("healing") == 4
    assert watching.open == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"adversary": OneClass(5)}, "give either adversary=… or rate=…"),
        ({"rate": None}, "give either adversary=… or rate=…"),
        ({"rate": 0}, "rate=0 must be at least 1"),
        ({"horizon": 0}, "horizon=0 must be at least 1"),
        ({"requests": 3}, "requests=3 must lie between 1 and horizon=2"),
        ({"tolerance": 0.0}, "tolerance=0.0 must be a positive number"),
        ({"tolerance": float("nan")}, "tolerance=nan must be a positive number"),
        ({"sizes": ()}, "sizes are empty"),
        ({"sizes": (0.1, 0.1)}, "must be distinct"),
        ({"sizes": (0.1, 1.0)}, "must be shares between 0 and 1"),
        ({"seeds": (0,)}, "too few; give at least 2"),
        ({"seeds": (1, 1)}, r"seeds=\(1, 1\) must be distinct"),
        ({"pilot": 0.0}, "pilot=0.0 must be a share"),
        ({"pilot": 0.01, "rate": 20}, "shrinks requests of 20 samples to less than one; give at least 0.05"),
        ({"sizes": (0.0001,)}, "holds none of a pilot's 500 samples"),
        ({"horizon": 30}, "after 19 requests too few are left of the 400 samples"),
        ({"rate": None, "adversary": OutputAware(0.9), "horizon": 9}, "after 2 requests too few are left of the 400"),
        ({"healer": Healer(strategy="retain")}, "uses no twins, so that no reserve matters"),
        ({"validation": digit_setup().samples}, "500 validation samples are training samples"),
        ({"test": digit_setup().samples}, "test samples are training samples"),
    ],
)
def test_bad_input_is_named_before_work_starts(few: Samples, changes: dict[str, Any], words: str) -> None:
    watching = Watching()
    with pytest.raises(BadInputError, match=words):
        plan(few, callbacks=[watching], **changes)
    assert not watching.jobs


def test_all_that_is_wrong_is_named_at_once(few: Samples) -> None:
    with pytest.raises(BadInputError) as caught:
        plan(few, horizon=0, tolerance=-1, sizes=(2,), seeds=())
    assert len(caught.value.problems) == 4
