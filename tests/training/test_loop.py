from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from tests.support import blobs, tiny_task
from torch import nn

from unscathed import (
    BadInputError,
    Callback,
    ClassificationTask,
    DivergedError,
    Flip,
    LossHistory,
    Recipe,
    Samples,
    Shift,
    fit,
)  # fmt: skip
from unscathed.lab.models import ColourNet
from unscathed.training import tune
from unscathed.training.seeds import generator
from unscathed.training.trained import Trained


def same(one: Trained, other: Trained) -> bool:
    return one.weights.keys() == other.weights.keys() and all(
        torch.equal(one.weights[name], other.weights[name]) for name in one.weights
    )


def pictures(count: int = 24) -> Samples:
    generator = torch.Generator().manual_seed(0)
    return Samples(
        torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8), torch.arange(count) % 2
    )


def dropout_task() -> ClassificationTask:
    return ClassificationTask(lambda: nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)), 3)


def test_training_learns() -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=20, batch_size=16), seed=0)
    assert trained.score(blobs(seed=1)) > 0.95
    assert trained.ids == blobs().ids
    event = trained.history[0]
    assert (event.kind, event.samples, event.steps) == ("fitted", 60, 60)


def test_same_seed_same_weights_whatever_the_global_random_state() -> None:
    recipe = Recipe(epochs=3, batch_size=8, augment=(Flip(), Shift(1)))
    torch.manual_seed(1)
    one = fit(ClassificationTask(lambda: ColourNet(2, (4, 4, 4, 4)), 2), pictures(), recipe, seed=5)
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    other = fit(ClassificationTask(lambda: ColourNet(2, (4, 4, 4, 4)), 2), pictures(), recipe, seed=5)
    assert same(one, other)
    assert torch.equal(torch.random.get_rng_state(), state), "training must leave the global random state alone"
    assert not same(one, fit(ClassificationTask(lambda: ColourNet(2, (4, 4, 4, 4)), 2), pictures(), recipe, seed=6))


def test_dropout_is_seeded_too() -> None:
    one, other = (fit(dropout_task(), blobs(), Recipe(epochs=2), seed=3) for _ in range(2))
    assert same(one, other)


def test_the_order_of_batches_does_not_depend_on_initialisation() -> None:
    """Each random choice has a seed of its own: a model with more weights draws the same batches."""

    class Watching(ClassificationTask):
        seen: list[list[float]]

        def losses(self, outputs, batch):  # type: ignore[no-untyped-def]
            self.seen.append(batch.inputs[:, 0].tolist())
            return super().losses(outputs, batch)

    orders = []
    for width in (4, 9):
        task = Watching(lambda width=width: nn.Sequential(nn.Linear(3, width), nn.Linear(width, 3)), 3)
        task.seen = []
        fit(task, blobs(), Recipe(epochs=1, batch_size=16), seed=0)
        orders.append(task.seen)
    assert orders[0] == orders[1]


def test_tuning_starts_where_it_is_told_and_changes_nothing_in_place() -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=1), seed=0)
    before = {name: w.clone() for name, w in trained.weights.items()}
    tuned = tune(trained, blobs(seed=1), Recipe(steps=1, learning_rate=1e-9), seed=0, kind="healed", by="test")
    assert all(torch.equal(before[name], w) for name, w in trained.weights.items())
    for name, weight in tuned.weights.items():
        torch.testing.assert_close(weight, before[name], atol=1e-6, rtol=0)
    assert [e.kind for e in tuned.history] == ["fitted", "healed"]
    assert set(tuned.ids) == set(blobs().ids) | set(blobs(seed=1).ids)


def test_a_single_sample_can_be_trained_on() -> None:
    task = ClassificationTask(lambda: ColourNet(2, (4, 4, 4, 4)), 2)
    assert fit(task, pictures(1), Recipe(steps=2), seed=0).history[0].steps == 2


def test_divergence_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DivergedError, match=r"lower learning_rate=1e\+30"):
        fit(tiny_task(), blobs(), Recipe(epochs=20, optimizer="sgd", learning_rate=1e30, precision="float32"))


def test_a_model_that_learned_nothing_is_reported() -> None:
    dead = ClassificationTask(lambda: nn.Sequential(nn.Linear(3, 4), nn.Threshold(1e9, 0.0), nn.Linear(4, 3)), 3)
    with pytest.warns(UserWarning, match="learned next to nothing"):
        fit(dead, blobs(), Recipe(epochs=10, batch_size=16, learning_rate=1e-9), seed=0)


def test_no_samples() -> None:
    with pytest.raises(BadInputError, match="no samples"):
        fit(tiny_task(), blobs().only([]))


def test_callbacks_hear_of_every_step_and_of_the_end_even_after_a_failure() -> None:
    heard: list[object] = []

    class Listener(Callback):
        def on_start(self, what: str, steps: int) -> None:
            heard.append((what, steps))

        def on_step(self, step: int, loss: torch.Tensor | None = None) -> None:
            heard.append(step)
            if step == 3:
                raise KeyboardInterrupt

        def on_end(self) -> None:
            heard.append("end")

    history = LossHistory()
    with pytest.raises(KeyboardInterrupt):
        fit(tiny_task(), blobs(), Recipe(steps=5), callbacks=[history, Listener()])
    assert heard == [("fitting", 5), 1, 2, 3, "end"]
    assert len(history.losses) == 3


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(BadInputError, match="try 'auto'"):
        fit(tiny_task(), blobs(), Recipe(steps=1, device="toaster"))


def test_weights_multiply_losses_and_a_step_can_be_enclosed() -> None:
    samples, weights = blobs(8), torch.arange(8.0) - 3
    recipe = Recipe(epochs=2, batch_size=4, optimizer="sgd", momentum=0, weight_decay=0, schedule="constant")
    blank = fit(tiny_task(), samples, recipe.lasting(steps=1), seed=0)
    seen: list[tuple[float, float]] = []

    @contextmanager
    def watch(model: nn.Module) -> Iterator[None]:
        before, gradient = ((p if kind else p.grad).detach().clone() for p in [model[0].weight] for kind in (1, 0))
        yield
        moved = before - model[0].weight.detach()
        seen.append((float(gradient.norm()), float((moved - 3e-3 * gradient).abs().max())))

    def tuned(weights: torch.Tensor | None, **more: object) -> Trained:
        return tune(blank, samples, recipe, seed=0, kind="fitted", by="me", weights=weights, **more)  # type: ignore[arg-type]

    weighted = tuned(weights, around_step=watch)
    assert len(seen) == 4
    assert all(gradient > 0 and error < 1e-7 for gradient, error in seen)
    assert same(tuned(torch.ones(8)), tuned(None))
    # By hand: which samples come in which batch, each with its own weight.
    model, order = blank.model().train(), generator(0, "batch order")
    for _ in range(2):
        for chosen in torch.randperm(8, generator=order).split(4):
            batch = samples.take(chosen)
            loss = (weights[chosen] * blank.task.losses(model(batch.inputs), batch)).mean()
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter -= 3e-3 * gradient
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(weighted.weights[name], parameter.detach())
