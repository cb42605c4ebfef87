"""Exact against a loop over single samples, in float64."""

import warnings
from dataclasses import replace

import pytest
import torch
from tests.support import Ridge, TinyTransformer, trained_by_hand
from torch import nn

from unscathed import BadInputError, Batch, ClassificationTask, Samples
from unscathed.curvature import ModelFunction, fisher_diagonal, layer_rules
from unscathed.curvature.fisher import by_rules
from unscathed.lab.models import CharacterTransformer, TextTransformer
from unscathed.lab.tasks import LanguageModel
from unscathed.training import Trained


def convolutional() -> nn.Module:
    """Convolutions with every setting that a rule must mind, and the norms of images."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 2, groups=2, dilation=2, padding=(1, 0)),
        nn.GroupNorm(2, 6),
        nn.Conv2d(6, 6, 3, padding="same", groups=6),
        nn.Conv2d(6, 6, (1, 2), stride=(2, 1), padding=(2, 1), padding_mode="circular"),
        nn.Flatten(2),
        nn.Conv1d(6, 4, 3, stride=2, dilation=2, padding=1),
        nn.BatchNorm1d(4),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(20, 7, bias=False),
        nn.BatchNorm1d(7),
        nn.Linear(7, 3),
    ).double()


def sequential() -> nn.Module:
    """Linear layers and norms over sequences."""
    return nn.Sequential(
        nn.Embedding(11, 8, padding_idx=3),
        nn.LayerNorm(8),
        nn.Linear(8, 6),
        nn.Tanh(),
        nn.LayerNorm((5, 6)),
        nn.Linear(6, 4, bias=False),
        nn.Flatten(),
        nn.LayerNorm(20, bias=False),
        nn.Linear(20, 3),
    ).double()


class Shared(nn.Module):
    """Tied weights: a layer under two names, an embedding that is the head as well, and a layer that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 4, padding_idx=3, dtype=torch.float64)
        self.one = nn.Linear(4, 4, dtype=torch.float64)
        self.other = self.one
        self.again = nn.Conv1d(5, 5, 3, padding=1, dtype=torch.float64)
        self.norm = nn.LayerNorm(4, dtype=torch.float64)
        self.head = nn.Linear(4, 11, dtype=torch.float64)
        self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.again(torch.tanh(self.again(self.embed(tokens))))
        hidden = self.norm(self.norm(self.other(torch.tanh(self.one(hidden)))))
        return self.head(hidden).mean(dim=1)


class Unruled(nn.Module):
    """A parameter that belongs to no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4, dtype=torch.float64))
        self.head = nn.Linear(4, 3, dtype=torch.float64)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(inputs * self.scale)


class TimeFirst(nn.Module):
    """Layers that see time where other models have samples."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 4, dtype=torch.float64)
        self.head = nn.Linear(4, 3, dtype=torch.float64)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(tokens.T)).mean(dim=0)


def images(count: int) -> Samples:
    generator = torch.Generator().manual_seed(1)
    return Samples(torch.randn(count, 2, 8, 8, generator=generator, dtype=torch.float64), torch.arange(count) % 3)


def tokens(count: int) -> Samples:
    generator = torch.Generator().manual_seed(1)
    return Samples(torch.randint(0, 11, (count, 5), generator=generator), torch.arange(count) % 3)


def numbers(count: int) -> Samples:
    generator = torch.Generator().manual_seed(1)
    return Samples(torch.randn(count, 4, generator=generator, dtype=torch.float64), torch.ones(count).double())


def points(count: int) -> Samples:
    return Samples(numbers(count).inputs, torch.arange(count) % 3)


RULED = {
    "convolutions": (ClassificationTask(convolutional, 3), images(11)),
    "sequences": (ClassificationTask(sequential, 3), tokens(11)),
    "transformer": (ClassificationTask(TinyTransformer, 3), tokens(11)),
    "masked": (ClassificationTask(lambda: TextTransformer(3, 11, 5, width=8, heads=2).double(), 3), tokens(11)),
    "language": (LanguageModel(lambda: CharacterTransformer(11, 5, width=8, heads=2).double(), 11), tokens(11)),
    "shared": (ClassificationTask(Shared, 11), tokens(11)),
    "regression": (Ridge(4), numbers(11)),
}
UNRULED = {
    "loose": (ClassificationTask(Unruled, 3), points(11)),
    # As many samples as places in time, so that only a look at another count tells them apart.
    "time first": (ClassificationTask(TimeFirst, 3), tokens(5)),
}
CASES = RULED | UNRULED
pytestmark = pytest.mark.filterwarnings("ignore:.*made by vmap")


def used(trained: Trained) -> Trained:
    """With normalisation statistics and scales that are not those of a new layer."""
    generator = torch.Generator().manual_seed(2)
    weights = {
        name: torch.rand(w.shape, generator=generator, dtype=w.dtype) + 0.5
        if w.is_floating_point() and w.ndim == 1
        else w
        for name, w in trained.weights.items()
    }
    return replace(trained, weights=weights)


def gradients_one_by_one(trained: Trained, samples: Samples) -> torch.Tensor:
    model, task = trained.model(), trained.task
    rows = []
    for batch in samples.batches(1):
        model.zero_grad()
        task.losses(task.outputs(model, task.prepare(batch)), batch).sum().backward()
        rows.append(torch.cat([p.grad.flatten() for p in model.parameters()]))  # type: ignore[union-attr]
    return torch.stack(rows)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("chunk", [1, 4, 32])
def test_the_diagonal_is_the_mean_of_squared_per_sample_gradients(name: str, chunk: int) -> None:
    task, samples = CASES[name]
    trained = used(trained_by_hand(task, samples))
    expected = gradients_one_by_one(trained, samples).square().mean(0)
    found = fisher_diagonal(ModelFunction(trained), samples, chunk=chunk)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", [name for name in CASES if name != "language"])
def test_the_true_information_is_the_mean_over_the_models_own_answers(name: str) -> None:
    task, samples = CASES[name]
    trained = used(trained_by_hand(task, samples))
    expected = torch.zeros(1, dtype=torch.float64)
    outputs = trained.outputs(samples)
    for probabilities, targets in task.answers(outputs, Batch(samples.inputs, samples.targets)) or []:
        answered = Samples(samples.inputs, targets, samples.ids)
        expected = expected + (probabilities[:, None] * gradients_one_by_one(trained, answered).square()).mean(0)
    found = fisher_diagonal(ModelFunction(trained), samples, "true", chunk=4)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)
    assert not torch.allclose(found, fisher_diagonal(ModelFunction(trained), samples))


def test_a_task_that_cannot_name_its_answers_has_no_true_information() -> None:
    trained = trained_by_hand(*CASES["language"])
    with pytest.raises(BadInputError, match="LanguageModel cannot name its answers"):
        fisher_diagonal(ModelFunction(trained), CASES["language"][1], "true")


@pytest.mark.parametrize("name", CASES)
def test_directional_derivatives_are_products_with_per_sample_gradients(name: str) -> None:
    task, samples = CASES[name]
    trained = trained_by_hand(task, samples)
    gradients = gradients_one_by_one(trained, samples)
    function = ModelFunction(trained, batch_size=4)
    direction = torch.randn(gradients.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(
        function.directional_derivatives(samples, direction), gradients @ direction, rtol=1e-10, atol=1e-14
    )
    torch.testing.assert_close(function.mean_gradient(samples), gradients.mean(0), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_rules_are_used_where_they_hold_and_all_else_is_said(name: str) -> None:
    task, samples = CASES[name]
    function = ModelFunction(trained_by_hand(task, samples))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fisher_diagonal(function, samples)
    words = [str(w.message) for w in said if "vmap" in str(w.message)]
    assert len(words) == (name in UNRULED)
    if name == "loose":
        assert "Unruled has parameters in Unruled" in words[0]
    if name == "time first":
        assert "rows that are not its samples" in words[0]
    batch = next(function.batches(samples))
    assert (by_rules(function)(batch) is not None) == (name in RULED) or name == "loose"


def test_what_follows_a_layer_may_work_in_place() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 5), nn.SiLU(inplace=True)).double()

    trained = trained_by_hand(ClassificationTask(build, 5), points(11))
    expected = gradients_one_by_one(trained, points(11)).square().mean(0)
    torch.testing.assert_close(fisher_diagonal(ModelFunction(trained), points(11)), expected, rtol=1e-10, atol=1e-14)


def test_few_samples_at_a_time_are_squared_as_all_are(monkeypatch: pytest.MonkeyPatch) -> None:
    function = ModelFunction(used(trained_by_hand(*CASES["convolutions"])))
    samples = CASES["convolutions"][1]
    expected = fisher_diagonal(function, samples)
    monkeypatch.setitem(layer_rules.AT_ONCE, "cpu", 1)
    torch.testing.assert_close(fisher_diagonal(function, samples), expected, rtol=1e-10, atol=1e-14)


def test_the_model_is_left_as_it_was() -> None:
    function = ModelFunction(trained_by_hand(*CASES["convolutions"]))
    batch = next(function.batches(CASES["convolutions"][1]))
    before = function.outputs(function.parameters, batch)
    fisher_diagonal(function, CASES["convolutions"][1])
    assert torch.equal(function.outputs(function.parameters, batch), before)
    assert all(p.requires_grad for p in function.model.parameters())
    assert not any(m._forward_hooks for m in function.model.modules())


@pytest.mark.parametrize("name", CASES)
def test_derivatives_leave_the_model_as_it_was(name: str) -> None:
    task, samples = CASES[name]
    function = ModelFunction(trained_by_hand(task, samples))
    before = {n: p.detach().clone() for n, p in function.model.named_parameters()}
    function.mean_gradient(samples)
    for layer in function.model.modules():
        assert all(isinstance(p, nn.Parameter) for p in layer._parameters.values() if p is not None)
    assert all(torch.equal(p, before[n]) for n, p in function.model.named_parameters())


def test_frozen_parameters_are_left_out() -> None:
    class Frozen(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(4, 4, dtype=torch.float64), nn.Linear(4, 3, dtype=torch.float64))
            self[0].requires_grad_(False)

    samples = Samples(numbers(5).inputs, torch.arange(5) % 3)
    function = ModelFunction(trained_by_hand(ClassificationTask(Frozen, 3), samples))
    assert list(function.parameters) == ["1.weight", "1.bias"]
    assert fisher_diagonal(function, samples).shape == (15,)


def test_vectors_and_parameters_are_each_others_inverse() -> None:
    task, samples = CASES["convolutions"]
    function = ModelFunction(trained_by_hand(task, samples))
    back = function.unflatten(function.flatten(function.parameters))
    assert all(torch.equal(back[name], p) for name, p in function.parameters.items())
    batch = next(function.batches(samples))
    assert isinstance(batch, Batch)


def test_a_module_with_two_names_is_left_as_it_was() -> None:
    task, samples = CASES["shared"]
    function = ModelFunction(trained_by_hand(task, samples))
    before = dict(function.model.named_parameters())
    function.mean_gradient(samples)
    after = dict(function.model.named_parameters())
    assert all(after[name] is p for name, p in before.items())
