from dataclasses import replace

import pytest
import torch
from tests.support import NoOp, blobs, ridge_trained, tiny_task, trained_by_hand
from torch import nn

from unscathed import BadInputError, ClassificationTask, Recipe, Saliency, Samples, Task, Trained, fit
from unscathed.lab.models import CharacterTransformer
from unscathed.lab.tasks import LanguageModel
from unscathed.training import Event
from unscathed.training.seeds import generator
from unscathed.unlearners.saliency import moving_only, random_labels, salient_parameters

PLAIN = Recipe(
    steps=1, batch_size=64, optimizer="sgd", momentum=0, weight_decay=0, learning_rate=0.5, schedule="constant"
)
"""One step of plain gradient descent on all samples."""


def linear() -> ClassificationTask:
    return ClassificationTask(lambda: nn.Linear(3, 3, dtype=torch.float64), 3)


def points(count: int = 40) -> Samples:
    made = blobs(count)
    return Samples(made.inputs.double(), made.targets, [f"p{n}" for n in range(count)])


def gradient_of(trained: Trained, samples: Samples, weight: float) -> dict[str, torch.Tensor]:
    """Of the sum of weighted losses, one sample after the other."""
    model = trained.model()
    for batch in samples.batches(1):
        (weight * trained.task.losses(trained.task.outputs(model, batch), batch).sum()).backward()
    return {name: p.grad for name, p in model.named_parameters()}  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["classes", "no classes"])
def test_a_step_is_that_of_the_equation(kind: str) -> None:
    alpha, share = 0.7, 0.4
    samples = points()
    trained = trained_by_hand(linear(), samples, recipe=PLAIN)
    if kind == "no classes":
        trained, samples = ridge_trained()
        trained = replace(trained, recipe=PLAIN)
    healed = Event(kind="healed", by="a healer", samples=1, steps=1, seconds=0.0)
    trained = replace(trained, history=(healed,))  # so that labels are those of a second event
    forget = samples.ids[3:10]
    forgotten, retain = samples.only(forget), samples.without(forget)
    relabelled = random_labels(trained.task, forgotten, retain, generator(trained.seed, "random labels", 1))
    assert (relabelled is None) == (kind == "no classes")
    method = Saliency(alpha=alpha, share=share, steps=1, learning_rate=0.5)
    unlearned = method.unlearn(trained, samples, forget)

    salient = gradient_of(trained, forgotten, 1)
    threshold = torch.cat([g.abs().flatten() for g in salient.values()]).sort(descending=True).values
    count = round(share * len(threshold))
    away = gradient_of(trained, forgotten, -1) if relabelled is None else gradient_of(trained, relabelled, 1)
    kept = gradient_of(trained, retain, alpha)
    for name, before in trained.weights.items():
        mask = salient[name].abs() >= threshold[count - 1]
        expected = before - 0.5 * 0.5 * mask * (away[name] + kept[name]) / len(samples)
        torch.testing.assert_close(unlearned.weights[name], expected, rtol=1e-10, atol=1e-14)
    details = unlearned.history[-1].details
    assert (details["salient"], details["parameters"]) == (count, len(threshold))
    assert details["toward"] == ("ascent" if relabelled is None else "random labels")


def test_the_salient_share_has_the_largest_gradients() -> None:
    gradient = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    for share in (0.001, 0.25, 0.5, 1.0):
        mask = salient_parameters(gradient, share)
        assert int(mask.sum()) == round(1000 * share)
        assert mask.all() or gradient[mask].abs().min() > gradient[~mask].abs().max()
    assert int(salient_parameters(gradient, 1e-9).sum()) == 1
    tied = torch.tensor([0.0, -2.0, 0.0, 2.0, 2.0, 0.0])
    assert salient_parameters(tied, 1 / 3).tolist() == [False, True, False, True, False, False]
    assert salient_parameters(tied, 0.9).tolist() == [False, True, False, True, True, False], "no gradient, no salience"


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 2), nn.ReLU(),
        nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3),
    )  # fmt: skip


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_what_is_not_salient_stays_to_the_bit(optimizer: str, precision: str) -> None:
    inputs = torch.randn(48, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    samples = Samples(inputs, torch.arange(48) % 3)
    recipe = Recipe(epochs=2, batch_size=8, optimizer=optimizer, weight_decay=0.3, precision=precision)  # type: ignore[arg-type]
    trained = fit(ClassificationTask(convolutional, 3), samples, recipe, seed=0)
    forget = samples.ids[:6]
    unlearned = Saliency(share=0.3, epochs=2, learning_rate=1.0).unlearn(trained, samples, forget)
    names = [name for name, _ in trained.model().named_parameters()]
    moved = torch.cat([(trained.weights[n] != unlearned.weights[n]).flatten() for n in names])
    details = unlearned.history[-1].details
    assert details["salient"] == round(0.3 * len(moved))
    assert 0.9 * details["salient"] < int(moved.sum()) <= details["salient"]
    # The same, parameter by parameter.
    model = trained.model()
    for batch in samples.only(forget).batches(6):
        trained.task.losses(model(batch.inputs), batch).mean().backward()
    gradients = torch.cat([p.grad.flatten() for p in model.parameters()]).abs()  # type: ignore[union-attr]
    assert gradients[moved].min() > 0.99 * gradients.sort(descending=True).values[details["salient"] - 1]


def test_a_step_sees_the_gradients_of_what_is_salient_alone() -> None:
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    (model(torch.ones(1, 2)).sum() * 3).backward()
    mask = torch.tensor([[True, False], [False, True]])
    with moving_only({"weight": mask}, model):
        assert torch.equal(model.weight.grad, 3.0 * mask)  # type: ignore[arg-type]
        assert torch.equal(model.bias.grad, torch.full((2,), 3.0))  # type: ignore[arg-type]
        with torch.no_grad():
            model.weight += 1
    assert torch.equal(model.weight, before + mask.float())


def test_random_labels_are_of_other_classes_that_are_retained() -> None:
    targets = torch.tensor([0] * 300 + [1] * 300 + [2] * 600 + [3] * 30)
    samples = Samples(torch.arange(1230.0)[:, None], targets)
    everything_of_3 = [i for i, c in zip(samples.ids, targets.tolist(), strict=True) if c == 3]
    forget = [*samples.ids[:200], *everything_of_3]
    forgotten, retain = samples.only(forget), samples.without(forget)
    one, again, other = (
        random_labels(tiny_task(4), forgotten, retain, generator(seed, "labels")).targets  # type: ignore[union-attr]
        for seed in (0, 0, 1)
    )
    assert not (one == forgotten.targets).any()
    assert set(one.tolist()) == {0, 1, 2}
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    # As often as they are retained: 600 of class 2 on 300 of class 1.
    assert float((one[:200] == 2).float().mean()) == pytest.approx(2 / 3, abs=0.1)


def test_labels_of_the_only_class_that_is_left_cannot_be_drawn() -> None:
    samples = Samples(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), torch.arange(20) // 15)
    trained = trained_by_hand(tiny_task(2), Samples(samples.inputs[:, :2], samples.targets, samples.ids))
    samples = Samples(samples.inputs[:, :2], samples.targets, samples.ids)
    with pytest.raises(BadInputError, match="all retained samples are of one class, which is also forgotten"):
        Saliency().unlearn(trained, samples, samples.ids[14:])
    with pytest.warns(UserWarning, match="every sample of class 1"):
        Saliency().unlearn(trained, samples, samples.ids[15:])


def test_it_forgets_toward_gold(
    original: Trained, gold: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    samples, _, test = digits
    forgotten = samples.only(hard)
    unlearned = Saliency().unlearn(original, samples, hard)
    idle = NoOp().unlearn(original, samples, hard)
    gap = idle.score(forgotten) - gold.score(forgotten)
    assert idle.score(forgotten) - unlearned.score(forgotten) > 0.3 * gap
    assert unlearned.score(test) > original.score(test) - 0.1


def writer() -> tuple[Task, Samples]:
    texts = torch.randint(1, 9, (64, 6), generator=torch.Generator().manual_seed(0))
    return LanguageModel(lambda: CharacterTransformer(9, 6, width=16, heads=2), 9), Samples(texts)


def test_a_task_without_classes_unlearns_by_ascent() -> None:
    task, samples = writer()
    trained = fit(task, samples, Recipe(epochs=20, batch_size=16), seed=0)
    forget = samples.ids[:4]
    unlearned = Saliency(learning_rate=1.0).unlearn(trained, samples, forget)
    worse = {
        name: float((unlearned.evaluate(part).losses - trained.evaluate(part).losses).mean())
        for name, part in (("forgotten", samples.only(forget)), ("retained", samples.without(forget)))
    }
    assert worse["forgotten"] > 0.1
    assert worse["retained"] < worse["forgotten"] / 5


def test_requests_one_after_the_other() -> None:
    samples = blobs(120)
    trained = fit(tiny_task(), samples, Recipe(epochs=3, batch_size=16), seed=0)
    first, second = samples.ids[:6], samples.ids[6:12]
    once = Saliency().unlearn(trained, samples, first)
    # What was forgotten before is not trained on again, nor are its labels drawn again.
    twice = Saliency().unlearn(once, samples, second)
    other = Saliency().unlearn(once, samples.without(first), second)
    assert all(torch.equal(twice.weights[name], w) for name, w in other.weights.items())
    assert set(twice.ids) == set(samples.ids[12:])
    assert [e.kind for e in twice.history] == ["fitted", "unlearned", "unlearned"]


def test_the_cost_is_a_pass_over_the_forgotten_and_a_tenth_of_the_training() -> None:
    samples = blobs(120)
    trained = fit(tiny_task(), samples, Recipe(epochs=10, batch_size=16), seed=0)
    forget = samples.ids[:18]
    assert trained.history[0].steps == 70
    for method, steps in ((Saliency(), 7), (Saliency(steps=5), 5), (Saliency(epochs=2), 14)):
        assert method.unlearn(trained, samples, forget).history[-1].steps == 2 + steps


def test_settings_that_cannot_be() -> None:
    with pytest.raises(BadInputError, match="4 problems") as caught:
        Saliency(share=0.0, alpha=-1.0, epochs=1, steps=1, learning_rate=0.0)
    assert "epochs and steps are both given" in str(caught.value)
