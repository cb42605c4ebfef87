import pytest
import torch
from torch import nn

from unscathed import Recipe
from unscathed.training import Machine, full_precision, machine


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_convolutions_use_bfloat16_where_the_machine_multiplies_it(
    native: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_multiplies_bfloat16", lambda _: native)
    chosen = Machine.choose(Recipe(device="cpu"), nn.Conv2d(3, 4, 3))
    assert chosen.precision == expected
    assert chosen.memory_format == torch.channels_last
    assert Machine.choose(Recipe(device="cpu"), nn.Linear(3, 4)).precision == torch.float32
    assert Machine.choose(Recipe(device="cpu", precision="float32"), nn.Conv2d(3, 4, 3)).precision == torch.float32


def test_float64_models_are_never_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_multiplies_bfloat16", lambda _: True)
    assert Machine.choose(Recipe(device="cpu"), nn.Conv2d(3, 4, 3).double()).precision == torch.float32


def test_full_precision_reaches_into_structures() -> None:
    low = torch.ones(2, dtype=torch.bfloat16)
    raised = full_precision({"a": (low, [low.double()]), "b": 3})
    assert raised["a"][0].dtype == torch.float32
    assert raised["a"][1][0].dtype == torch.float64
    assert raised["b"] == 3
