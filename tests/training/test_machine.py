import platform
import resource
from pathlib import Path

import pytest
import torch
from torch import nn

from unscathed import Recipe
from unscathed.training import Machine, full_precision, machine
from unscathed.training.machine import keeping_memory


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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_memory_is_kept_from_step_to_step_and_given_back_afterwards() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    def kept_of_a_large_block() -> int:
        before = resident()
        torch.ones(2**25)  # 128 MiB, more than glibc keeps of its own accord
        return resident() - before

    assert kept_of_a_large_block() < 2**25
    with keeping_memory():
        with keeping_memory():  # an evaluation within a training
            pass
        assert kept_of_a_large_block() > 2**26
        held = resident()
    assert resident() < held - 2**26
    assert kept_of_a_large_block() < 2**25
