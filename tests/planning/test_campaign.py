from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.support import digit_setup

from unscathed import GradientAscent, Healer, Samples
from unscathed.adversaries import OneClass, OutputAware, OutputView, ParameterAware, ParameterView
from unscathed.planning.campaign import Campaign, Standing, mean_distance
from unscathed.planning.requests import Requests


@pytest.fixture(scope="module")
def few() -> Samples:
    return digit_setup().samples.split(reserve=300, seed=0)[1]


def campaign(**changes: Any) -> Campaign:
    made = digit_setup()
    settings: dict[str, Any] = {
        "task": made.task,
        "test": made.test,
        "validation": made.test,
        "recipe": replace(made.recipe, epochs=3),
        "requests": Requests(adversary=None, rate=10),
        "unlearner": GradientAscent(),
        "healer": Healer(steps=5),
        "similarity": None,
    }
    return Campaign(**{**settings, **changes})


def after(samples: Samples, times: int, share: float = 0.1, **changes: Any) -> Standing:
    run = campaign(**changes).run(samples, share=share, seed=0)
    *_, last = (standing for _, standing in zip(range(times), run, strict=False))
    return last


@pytest.fixture(scope="module")
def twice(few: Samples) -> Standing:
    return after(few, 2)


def test_healed_and_control_honour_the_same_requests(twice: Standing) -> None:
    first = set(twice.train.ids)
    assert len(twice.forgotten) == 20
    assert set(twice.left.ids) == first - set(twice.forgotten)
    assert set(twice.control.ids) == set(twice.left.ids), "the control holds no twins"
    assert set(twice.healed.ids) == set(twice.left.ids) | set(twice.reserve.spent)
    assert set(twice.samples.ids) == set(twice.healed.ids)
    assert len(twice.reserve.spent) == len(twice.healed.ids) - len(twice.left.ids) > 0
    assert not set(twice.reserve.spares.ids) & first


def test_the_control_is_healed_on_retained_data_alone_for_as_many_steps(few: Samples, twice: Standing) -> None:
    for healer in (Healer(steps=5), Healer(), Healer(epochs=1)):
        found = twice if healer.steps else after(few, 2, healer=healer)
        ours = [e for e in found.healed.history if e.kind == "healed"]
        theirs = [e for e in found.control.history if e.kind == "healed"]
        assert [e.steps for e in ours] == [e.steps for e in theirs]
        assert all("strategy='retain+twins'" in e.by for e in ours)
        assert all("strategy='retain'," in e.by and e.details["twins"] == 0 for e in theirs)
        assert all(e.details["twins"] > 0 for e in ours)
        assert ours[0].steps > 1 or not (healer.steps or healer.epochs)
        assert [e.kind for e in found.control.history] == ["fitted", "unlearned", "healed"] * 1 + [
            "unlearned",
            "healed",
        ]


def test_gold_is_trained_on_what_is_left_of_the_first_training_set(twice: Standing) -> None:
    gold = twice.gold()
    assert gold.ids == twice.left.ids
    assert gold.seed == twice.original.seed
    assert [e.kind for e in gold.history] == ["fitted"]


def test_who_asks_sees_the_model_as_it_is_healed_and_what_is_left(few: Samples) -> None:
    seen: list[torch.Tensor] = []

    class Watched(OutputAware):
        def choose(self, view: OutputView, **_: Any) -> tuple[str, ...]:
            seen.append(view.outputs(view.samples))
            assert len(view.samples) == 270 - 10 * (len(seen) - 1)
            return super().choose(view)

    found = after(few, 1, requests=Requests(adversary=Watched(10), rate=None))
    run = campaign(requests=Requests(adversary=Watched(10), rate=None)).run(few, share=0.1, seed=0)
    seen.clear()
    next(run), next(run)
    assert torch.equal(seen[0], found.original.outputs(found.train))
    assert torch.equal(seen[1], found.healed.outputs(found.left))


def test_who_attacks_parameters_has_validation_samples_of_its_own(few: Samples) -> None:
    test, validation = digit_setup().test.split(reserve=0.5, seed=0)
    seen: list[Samples] = []

    class Watched(ParameterAware):
        def choose(self, view: ParameterView, **_: Any) -> tuple[str, ...]:
            seen.append(view.validation)
            return super().choose(view)

    requests = Requests(adversary=Watched(10), rate=None)
    found = after(few, 1, requests=requests, test=test, validation=validation)
    assert seen == [validation]
    assert found.campaign.test is test


def test_requests_go_on_when_the_reserve_is_spent_whole(few: Samples) -> None:
    found = after(few, 4, share=0.04, requests=Requests(adversary=None, rate=40))
    assert len(found.reserve) == 0
    assert [len(t) > 0 for t in found.twins] == [True, False, False, False] or len(found.twins[-1]) == 0
    assert found.healed.history[-1].details["twins"] == 0


def test_a_healer_of_twins_alone_leaves_models_unhealed_when_none_is_left(few: Samples) -> None:
    requests = Requests(adversary=OneClass(8, target=3), rate=None)
    found = after(few, 3, share=0.05, requests=requests, healer=Healer(strategy="twins", steps=5))
    kinds = [e.kind for e in found.healed.history]
    assert kinds == [e.kind for e in found.control.history]
    assert kinds == ["fitted", "unlearned", "healed", "unlearned", "unlearned"]
    assert [len(t) for t in found.twins] == [len(found.reserve.spent), 0, 0]


def test_an_adversary_that_finds_nothing_more_to_ask_for_ends_the_run(few: Samples) -> None:
    requests = Requests(adversary=OneClass(10, target=3), rate=None)
    found = after(few, 100, requests=requests)
    threes = int((found.train.targets == 3).sum())
    # The last request takes what is left of the class, and fills up with the next one.
    assert len(found.twins) == -(-threes // 10)


def test_distances_are_means_over_twins_not_over_requests(twice: Standing) -> None:
    distances = [far for twins in twice.twins for far in twins.distances.values()]
    assert mean_distance(twice.twins) == pytest.approx(sum(distances) / len(distances))
    assert mean_distance(()) != mean_distance(())
