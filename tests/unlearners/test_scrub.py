import pytest
import torch
from tests.support.descent import batch_of, outputs_with, small_model, stepped
from tests.support.tasks import ridge_trained

from unscathed import Samples, Scrub, Trained

Parts = tuple[Samples, Samples, Samples]
Weights = dict[str, torch.Tensor]


def test_it_descends_and_climbs_by_turns() -> None:
    trained, samples = small_model()
    forget, retain = samples.only(samples.ids[:7]), samples.without(samples.ids[:7])

    def divergence(weights: Weights, part: Samples) -> torch.Tensor:
        teacher = outputs_with(trained.weights, part)
        return trained.task.divergences(teacher, outputs_with(weights, part), batch_of(part)).mean()

    def obey(weights: Weights) -> torch.Tensor:
        loss = trained.task.losses(outputs_with(weights, retain), batch_of(retain)).mean()
        return 0.7 * loss + 0.3 * divergence(weights, retain)

    rate = 0.5 * 0.2
    expected = stepped(dict(trained.weights), obey, rate)
    expected = stepped(expected, lambda w: -divergence(w, forget), rate)
    expected = stepped(expected, obey, rate)
    method = Scrub(alpha=0.3, gamma=0.7, rounds=2, max_rounds=1, steps=2)
    unlearned = method.unlearn(trained, samples, forget.ids)
    for name, weight in expected.items():
        torch.testing.assert_close(unlearned.weights[name], weight, rtol=1e-10, atol=1e-12)
    event = unlearned.history[-1]
    assert (event.steps, event.details["max_steps"], event.details["teacher_batches"]) == (3, 1, 3)
    assert len(unlearned.history) == len(trained.history) + 1


def test_it_forgets_and_stays_whole(original: Trained, digits: Parts, hard: tuple[str, ...], gold: Trained) -> None:
    forgotten = digits[0].only(hard)
    unlearned = Scrub().unlearn(original, digits[0], hard)
    before, after, aim = (m.evaluate(forgotten).losses.mean() for m in (original, unlearned, gold))
    assert before < after
    assert abs(float(after - aim)) < abs(float(before - aim))
    assert unlearned.score(digits[2]) > original.score(digits[2]) - 0.05
    assert unlearned.history[-1].details["max_steps"] == 2 * (len(hard) // original.recipe.batch_size)
    steps = unlearned.history[-1].steps - unlearned.history[-1].details["max_steps"]
    assert steps == pytest.approx(0.1 * original.history[0].steps, rel=0.1)


def test_it_works_where_there_are_no_classes() -> None:
    trained, samples = ridge_trained()
    unlearned = Scrub(learning_rate=0.5, steps=30, alpha=0.1).unlearn(trained, samples, samples.ids[:5])
    forgotten = samples.only(samples.ids[:5])
    assert unlearned.evaluate(forgotten).losses.mean() > trained.evaluate(forgotten).losses.mean()
