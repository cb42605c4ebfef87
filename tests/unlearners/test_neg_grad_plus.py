import pytest
import torch
from tests.support.descent import batch_of, outputs_with, small_model, stepped
from tests.support.tasks import ridge_trained

from unscathed import NegGradPlus, Samples, Trained

Parts = tuple[Samples, Samples, Samples]


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_a_step_over_all_samples_is_one_down_the_objective(alpha: float) -> None:
    trained, samples = small_model()
    forget, retain = samples.only(samples.ids[:7]), samples.without(samples.ids[:7])

    def objective(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        losses = [trained.task.losses(outputs_with(weights, p), batch_of(p)).mean() for p in (retain, forget)]
        return alpha * losses[0] - (1 - alpha) * losses[1]

    expected = stepped(stepped(dict(trained.weights), objective, 0.5 * 0.2), objective, 0.5 * 0.2)
    unlearned = NegGradPlus(alpha=alpha, steps=2, kl_budget=None).unlearn(trained, samples, forget.ids)
    for name, weight in expected.items():
        torch.testing.assert_close(unlearned.weights[name], weight, rtol=1e-6, atol=1e-9)  # weights are float32
    assert unlearned.history[-1].steps == 2


def test_it_forgets_and_stays_whole(original: Trained, digits: Parts, hard: tuple[str, ...], gold: Trained) -> None:
    forgotten = digits[0].only(hard)
    unlearned = NegGradPlus().unlearn(original, digits[0], hard)
    before, after, aim = (m.evaluate(forgotten).losses.mean() for m in (original, unlearned, gold))
    assert before < after
    assert abs(float(after - aim)) < abs(float(before - aim))
    assert unlearned.score(digits[2]) > original.score(digits[2]) - 0.05
    fitted = original.history[0].steps
    assert unlearned.history[-1].steps == pytest.approx(0.1 * fitted, rel=0.05)


def test_a_small_alpha_collapses_the_model(original: Trained, digits: Parts, hard: tuple[str, ...]) -> None:
    collapsed = NegGradPlus(alpha=0.0, steps=60, learning_rate=1.0, kl_budget=None).unlearn(original, digits[0], hard)
    assert collapsed.score(digits[2]) < 0.33


def test_it_works_where_there_are_no_classes() -> None:
    trained, samples = ridge_trained()
    unlearned = NegGradPlus(alpha=0.8, steps=20, kl_budget=None).unlearn(trained, samples, samples.ids[:5])
    forgotten = samples.only(samples.ids[:5])
    assert unlearned.evaluate(forgotten).losses.mean() > trained.evaluate(forgotten).losses.mean()
