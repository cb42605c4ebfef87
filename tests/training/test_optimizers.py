from collections.abc import Callable

import pytest
import torch
from tests.support import blobs, tiny_task
from torch import nn

from unscathed import ClassificationTask, Recipe, Samples, fit
from unscathed.lab.models import FastNet
from unscathed.training.optimizers import FilterMuon, optimizers_for

MUON = Recipe(optimizer="muon", learning_rate=0.02, momentum=0.6, weight_decay=0.0)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 5), nn.ReLU(), nn.Linear(5, 2)
    )


def stepped(model: nn.Module, recipe: Recipe) -> dict[str, torch.Tensor]:
    """How a step moves each parameter."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    model(torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))).square().sum().backward()
    for optimizer in optimizers_for(model, recipe):
        optimizer.step()
    return {name: p.detach() - before[name] for name, p in model.named_parameters()}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_moves_the_filters_of_hidden_layers_alike_in_all_directions(layout: torch.memory_format) -> None:
    moved = stepped(network().to(memory_format=layout), MUON)  # type: ignore[call-overload]
    for name, largest_side in (("0.weight", 27), ("3.weight", 288)):
        strengths = torch.linalg.svdvals(moved[name].flatten(1)) / (0.02 * 0.2 * largest_side**0.5)
        assert 0.5 < strengths.min() < strengths.max() < 1.5
    for name in ("1.bias", "5.weight", "5.bias"):
        torch.testing.assert_close(moved[name].abs().max(), torch.tensor(0.02))  # AdamW's first step


def test_the_layout_of_filters_changes_nothing() -> None:
    one = stepped(network(), MUON)
    other = stepped(network().to(memory_format=torch.channels_last), MUON)  # type: ignore[call-overload]
    torch.testing.assert_close(one["0.weight"], other["0.weight"], atol=2e-4, rtol=0.05)  # orthogonalised in bfloat16


def test_every_trainable_parameter_is_trained_by_one_optimizer_and_frozen_ones_by_none() -> None:
    model = network()
    model[0].requires_grad_(False)
    for name in ("sgd", "adamw", "muon"):
        made = optimizers_for(model, Recipe(optimizer=name))  # type: ignore[arg-type]
        counts = [p.numel() for o in made for g in o.param_groups for p in g["params"]]
        assert sum(counts) == sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert any(isinstance(o, FilterMuon) for o in made) == (name == "muon")


@pytest.mark.parametrize("build", [lambda: nn.Linear(3, 3), lambda: nn.Linear(3, 3).double()])
def test_a_model_without_hidden_layers_is_left_to_adamw(build: Callable[[], nn.Module]) -> None:
    (only,) = optimizers_for(build(), MUON)
    assert isinstance(only, torch.optim.AdamW)


def test_muon_learns() -> None:
    trained = fit(tiny_task(), blobs(), Recipe(epochs=10, batch_size=16, optimizer="muon", learning_rate=0.02))
    assert trained.score(blobs(seed=1)) > 0.95
    task = ClassificationTask(lambda: FastNet(2, widths=(4, 4, 4)), 2)
    shades = torch.arange(32) % 2
    bright = Samples((shades * 90 + 80).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 12, 12).contiguous(), shades)
    assert fit(task, bright, Recipe(steps=20, batch_size=16, optimizer="muon", learning_rate=0.02)).score(bright) == 1
