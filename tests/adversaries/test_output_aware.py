"""What output-aware adversaries ask for, against what the model answers."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tests.support import blobs, tiny_task, trained_by_hand
from torch import Tensor, nn
from torch.nn import functional

from unscathed import BadInputError, ClassificationTask, OutputView, Recipe, Samples, Trained, fit
from unscathed.adversaries import (
    ForgettingEvents,
    HighestConfidence,
    HighestLoss,
    OutputAware,
    Representative,
    SurrogateGreedy,
    fit_watched,
)
from unscathed.training.seeds import derive

SAMPLES = blobs(60, spread=0.8)
RECIPE = Recipe(epochs=5, batch_size=16)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return fit(tiny_task(), SAMPLES, RECIPE, seed=0)


def ids(positions: Sequence[int]) -> tuple[str, ...]:
    return tuple(SAMPLES.ids[p] for p in positions)


def test_the_highest_loss_and_the_highest_confidence(trained: Trained) -> None:
    view = OutputView(trained, SAMPLES)
    losses = functional.cross_entropy(trained.outputs(SAMPLES), SAMPLES.targets, reduction="none")
    assert HighestLoss(9).choose(view) == ids(losses.argsort(descending=True)[:9].tolist())
    assert HighestConfidence(9).choose(view) == ids(losses.argsort()[:9].tolist())
    # In classification the loss is log(1 + exp(-margin)).
    assert HighestLoss(9).choose(view) == OutputAware(9).choose(view)
    assert torch.allclose(functional.softplus(-view.margins(SAMPLES)), view.losses(SAMPLES), atol=1e-5)


class Wary(ClassificationTask):
    """Its margins say nothing of its losses."""

    def margins(self, outputs: Tensor, batch: Any) -> Tensor:
        return batch.inputs[:, 0]


def test_they_differ_where_a_task_has_margins_of_its_own() -> None:
    view = OutputView(trained_by_hand(Wary(lambda: nn.Linear(3, 3), 3), SAMPLES), SAMPLES)
    assert HighestLoss(9).choose(view) != OutputAware(9).choose(view)


def test_the_representative_are_nearest_to_the_mean_output_of_their_class(trained: Trained) -> None:
    outputs, expected = trained.outputs(SAMPLES).double(), set()
    for label in range(3):
        own = (SAMPLES.targets == label).nonzero().flatten()
        distances = (outputs[own] - outputs[own].mean(dim=0)).norm(dim=1)
        expected |= set(own[distances.argsort()[:4]].tolist())
    chosen = Representative(12).choose(OutputView(trained, SAMPLES))
    assert set(chosen) == set(ids(sorted(expected)))
    assert torch.bincount(SAMPLES.only(chosen[:3]).targets).tolist() == [1, 1, 1]


def test_the_representative_by_herding_have_the_mean_output_of_their_class(trained: Trained) -> None:
    outputs = trained.outputs(SAMPLES).double()
    chosen = SAMPLES.positions(Representative(12, how="herding").choose(OutputView(trained, SAMPLES))).tolist()
    for label in range(3):
        own = (SAMPLES.targets == label).nonzero().flatten().tolist()
        taken = [p for p in chosen if p in own]
        assert len(taken) == 4
        mean = outputs[own].mean(dim=0)
        for size in range(4):
            left = [p for p in own if p not in taken[:size]]
            assert taken[size] == min(
                left, key=lambda p: float((outputs[[*taken[:size], p]].mean(dim=0) - mean).norm())
            )
    with pytest.raises(BadInputError, match="'luck' must be one of 'nearest', 'herding'"):
        Representative(how="luck")  # type: ignore[arg-type]


def answering(classes: Sequence[int], samples: Samples) -> OutputView:
    """A view of a model that answers these classes: one-hot inputs name the sample, and the weights its class."""
    task = ClassificationTask(lambda: nn.Linear(len(classes), 2, bias=False), 2)
    weights = {"weight": functional.one_hot(torch.tensor(classes), 2).float().T.contiguous()}
    return OutputView(trained_by_hand(task, samples, weights=weights), samples)


def test_forgetting_events_are_counted() -> None:
    samples = Samples(torch.eye(5), torch.tensor([0, 0, 0, 0, 0]), ids=["kept", "lost", "twice", "late", "never"])
    looks = [
        answering([0, 0, 0, 1, 1], samples),
        answering([0, 1, 1, 1, 1], samples),
        answering([0, 1, 0, 1, 1], samples),
        answering([0, 1, 1, 0, 1], samples),
    ]
    made = ForgettingEvents(4, earlier=looks[:3])
    assert made.values(looks[3]).tolist() == pytest.approx([0, 1 + 3 / 5, 2 + 2 / 5, 3 / 5, float("inf")])
    assert made.choose(looks[3]) == ("never", "twice", "lost", "late")
    # The order of looks matters, and the view that it chooses by is the last of them.
    assert ForgettingEvents(4, earlier=looks[1:]).choose(looks[0]) != made.choose(looks[3])
    with pytest.raises(BadInputError, match="never looked at the model before"):
        ForgettingEvents(2, earlier=[]).choose(looks[0])


def test_each_look_costs_queries(trained: Trained) -> None:
    earlier = [OutputView(trained, SAMPLES, queries=100, labels_only=labels) for labels in (True, False)]
    ForgettingEvents(5, earlier=earlier).choose(OutputView(trained, SAMPLES))
    assert [look.queries_left for look in earlier] == [40, 40]


def test_a_model_is_watched_while_it_is_trained(trained: Trained) -> None:
    watched, earlier = fit_watched(tiny_task(), SAMPLES, RECIPE, looks=4, seed=0)
    assert all(torch.equal(watched.weights[name], value) for name, value in trained.weights.items())
    assert (len(earlier), watched.ids) == (4, trained.ids)
    right = [int((look.outputs(SAMPLES).argmax(dim=1) == SAMPLES.targets).sum()) for look in earlier]
    assert len({tuple(look.outputs(SAMPLES).flatten().tolist()) for look in earlier}) == 4
    assert right[0] < 60 * trained.score(SAMPLES)
    # Looks are evenly spaced: the third of three, after three quarters of the steps of a constant schedule.
    steady = Recipe(steps=8, batch_size=16, schedule="constant")
    last = fit_watched(tiny_task(), SAMPLES, steady, looks=3, seed=0)[1][-1]
    assert torch.equal(last.outputs(SAMPLES), fit(tiny_task(), SAMPLES, steady.lasting(steps=6)).outputs(SAMPLES))
    with pytest.raises(BadInputError, match="looks=8 must be at least 1, and fewer than the 8 steps"):
        fit_watched(tiny_task(), SAMPLES, steady, looks=8)


def greedy(budget: int = 9, **changes: Any) -> SurrogateGreedy:
    return SurrogateGreedy(budget, **{"task": tiny_task(), "recipe": RECIPE, "rounds": 1, **changes})


def test_a_surrogate_attack_in_one_round_is_the_alignment_on_the_surrogate(trained: Trained) -> None:
    view = OutputView(trained, SAMPLES)
    study, probes = greedy()._answers(view)
    assert (len(study), len(probes), set(study.ids) & set(probes.ids)) == (48, 12, set())
    assert torch.equal(study.targets, trained.outputs(study).argmax(dim=1))
    surrogate = fit(tiny_task(), study, RECIPE, seed=derive(0, "surrogate"))
    model = surrogate.model()

    def gradient(samples: Samples) -> Tensor:
        model.zero_grad()
        functional.cross_entropy(model(samples.inputs), samples.targets).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])  # type: ignore[union-attr]

    direction = gradient(probes)
    candidates = SAMPLES.without(probes.ids)
    alignment = torch.stack([gradient(candidates.only([i])) @ direction for i in candidates.ids])
    expected = [candidates.ids[p] for p in alignment.argsort(descending=True)[:9].tolist()]
    assert list(greedy().choose(view)) == expected


def test_rounds_train_the_surrogate_anew_without_what_was_taken(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, ...]] = []

    def spy(task: Any, samples: Samples, *rest: Any, **settings: Any) -> Trained:
        seen.append(samples.ids)
        return fit(task, samples, *rest, **settings)

    monkeypatch.setattr("unscathed.adversaries.surrogate_greedy.fit", spy)
    chosen = greedy(rounds=3).choose(OutputView(trained, SAMPLES))
    study = greedy()._answers(OutputView(trained, SAMPLES))[0].ids
    assert seen == [tuple(i for i in study if i not in chosen[:taken]) for taken in (0, 3, 6)]
    assert chosen[:3] == greedy(3).choose(OutputView(trained, SAMPLES))


def test_a_surrogate_sends_no_more_than_it_may(trained: Trained) -> None:
    view = OutputView(trained, SAMPLES, queries=100)
    greedy(queries=25).choose(view)
    assert view.queries_left == 75
    greedy().choose(view)
    assert view.queries_left == 15
    assert len(greedy(30).choose(view)) == 30
    assert view.queries_left == 0
    with pytest.raises(BadInputError, match="at least 2 queries, and 0 are left"):
        greedy().choose(view)


def test_surrogates_that_cannot_be(trained: Trained) -> None:
    with pytest.raises(BadInputError, match="3 problems") as told:
        greedy(queries=1, held_out=1.0, rounds=0)
    assert all(words in str(told.value) for words in ("queries=1", r"held_out=1.0", "rounds=0"))
    with pytest.raises(BadInputError, match="surrogate cannot learn these samples: 20 targets are out of range"):
        greedy(task=tiny_task(2)).choose(OutputView(trained, SAMPLES))
