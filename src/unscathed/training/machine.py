"""Machine: where a model runs and in which precision and memory layout, chosen for the user."""

from __future__ import annotations

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unscathed.problems import BadInputError
from unscathed.samples import Batch, Samples
from unscathed.training.recipe import Recipe


@dataclass(frozen=True)
class Machine:
    """A device, with the precision and memory layout that suit one model on it.

    Args:
        device: where tensors live.
        precision: what matrix products are computed in: float32, or bfloat16 by autocast.
        memory_format: of images [n, c, h, w] and convolution weights.
    """

    device: torch.device
    precision: torch.dtype
    memory_format: torch.memory_format

    @classmethod
    def choose(cls, recipe: Recipe, model: nn.Module) -> Machine:
        """The machine for a recipe and a model.

        Raises:
            BadInputError: the recipe names a device that is not there.
        """
        device = _device(recipe.device)
        convolves = any(isinstance(m, nn.Conv2d) for m in model.modules())
        single = all(p.dtype == torch.float32 for p in model.parameters())
        if recipe.precision == "auto":
            lower = convolves and single and _multiplies_bfloat16(device)
        else:
            lower = recipe.precision == "bfloat16"
        return cls(
            device,
            torch.bfloat16 if lower else torch.float32,
            torch.channels_last if convolves else torch.contiguous_format,
        )

    def place(self, model: nn.Module) -> nn.Module:
        """The model on the device, in the memory layout."""
        return model.to(device=self.device).to(memory_format=self.memory_format)  # type: ignore[call-overload, no-any-return]

    def stage(self, batch: Batch) -> Batch:
        """A batch on the device, images in the memory layout."""
        inputs = batch.inputs.to(self.device, non_blocking=True)
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=self.memory_format)
        return Batch(inputs, batch.targets.to(self.device, non_blocking=True))

    def hold(self, samples: Samples) -> Samples:
        """The samples resident on the device where they take less than half of its free memory."""
        if self.device.type != "cuda":
            return samples
        free, _ = torch.cuda.mem_get_info(self.device)
        return samples.to(self.device) if samples.nbytes < free / 2 else samples

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Within, forward products are in this machine's precision, by kernels that repeat themselves bit by bit."""
        with (
            self.deterministic(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16),
        ):
            yield

    @contextmanager
    def deterministic(self) -> Iterator[None]:
        """Within, every kernel repeats itself bit by bit (the CPU's do anyway)."""
        if self.device.type != "cuda":
            yield
            return
        before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
                yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@contextmanager
def keeping_memory() -> Iterator[None]:
    """Within, the C library keeps freed memory for the next batch, and gives it back afterwards.

    By default glibc returns every large block to the kernel at once, and each step of a training on a CPU has its
    pages mapped and zeroed anew: a fifth of its time, and half of an evaluation's. The outermost of several gives
    memory back, in whatever threads they are. Other C libraries are left alone.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    trim_threshold, mapped_blocks = -1, -4  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_MAX
    with _keepers.changing:
        _keepers.count += 1
        library.mallopt(trim_threshold, 2**31 - 1)
        library.mallopt(mapped_blocks, 0)
    try:
        yield
    finally:
        with _keepers.changing:
            _keepers.count -= 1
            if not _keepers.count:
                library.mallopt(trim_threshold, 2**26)  # what glibc itself settles at once large blocks were freed
                library.mallopt(mapped_blocks, 2**16)
                library.malloc_trim(0)


class _Keepers:
    """How many keep memory now: the setting is the process's, not a thread's."""

    def __init__(self) -> None:
        self.changing = threading.Lock()
        self.count = 0


_keepers = _Keepers()


def full_precision(outputs: Any) -> Any:
    """Outputs (a tensor, or tuples, lists and dicts of them) with bfloat16 and float16 raised to float32."""
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs
    if isinstance(outputs, dict):
        return {k: full_precision(v) for k, v in outputs.items()}
    if isinstance(outputs, tuple | list):
        return type(outputs)(full_precision(v) for v in outputs)
    return outputs


def _device(name: str) -> torch.device:
    if name != "auto":
        try:
            device = torch.device(name)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise BadInputError("cannot use the device", [f"{name!r} is not there ({error}); try 'auto'"]) from error
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Without native instructions bfloat16 is emulated, and several times slower than float32.
        return any(
            getattr(torch.cpu, check, lambda: False)()
            for check in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
    return False
