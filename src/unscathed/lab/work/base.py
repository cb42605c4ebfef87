"""Work: a piece of an experiment whose result others share; a bench is where it is done or found again."""

from __future__ import annotations

import hashlib
import json
import warnings
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from unscathed.lab.clock import Clock
from unscathed.lab.code import code_digest
from unscathed.lab.store import Made, Store
from unscathed.problems import BadInputError
from unscathed.training import Callback

REMEMBERED = 24
"""Results that a bench keeps in memory: as many as one cell needs, for a few cells."""


class Work(ABC):
    """A piece of work: what it is decides its key, and its key where its result is found."""

    kind: ClassVar[str]
    """What sort of work, in a word: the folder it is kept in, and the word that progress shows."""

    @abstractmethod
    def needs(self) -> tuple[Work, ...]:
        """The work that this one stands on."""

    @abstractmethod
    def identity(self) -> Any:
        """What it is besides what it needs, as plain JSON."""

    @abstractmethod
    def make(self, bench: Bench) -> Any:
        """Do it."""

    @abstractmethod
    def __str__(self) -> str:
        """What it is, in a few words."""

    @property
    def key(self) -> str:
        """A digest of everything that the result depends on, the code's version included."""
        return _key(self)


class Kept(Work):
    """Work whose result goes to the store; other work is done again by each process, since it costs next to nothing."""

    def reads(self) -> tuple[Work, ...]:
        """The work whose results `load` looks at."""
        return ()

    @abstractmethod
    def save(self, value: Any, folder: Path) -> None:
        """Write the result to an empty folder."""

    @abstractmethod
    def load(self, folder: Path, bench: Bench) -> Any:
        """Read what `save` wrote."""


class KeptTensor(Kept):
    """Work whose result is one tensor."""

    def save(self, value: Tensor, folder: Path) -> None:
        """Write the tensor."""
        save_tensors(folder / "value.safetensors", value=value)

    def load(self, folder: Path, bench: Bench) -> Tensor:
        """Read the tensor."""
        return load_tensors(folder / "value.safetensors")["value"]


@cache
def _key(work: Work) -> str:
    # Equal work is met over and over while a grid is planned.
    content = [work.kind, work.identity(), [needed.key for needed in work.needs()], code_digest()]
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


class Bench:
    """Where work is done: finds results in memory or in the store, and does what is missing, once.

    Args:
        store: of shared results.
        callbacks: progress of training.
        did: told of every piece of work done here and kept, and what it cost.
    """

    def __init__(
        self,
        store: Store,
        *,
        callbacks: Sequence[Callback] = (),
        did: Callable[[Work, Made], None] = lambda work, made: None,
    ) -> None:
        self.store = store
        self.callbacks = callbacks
        self.did = did
        self._memory: OrderedDict[str, tuple[Any, Made]] = OrderedDict()

    def obtain(self, work: Work) -> Any:
        """The result of a piece of work, from memory, from the store, or by doing it."""
        return self._obtain(work)[0]

    def cost(self, work: Work) -> Made:
        """What the work cost when it was done."""
        return self._obtain(work)[1]

    def _obtain(self, work: Work) -> tuple[Any, Made]:
        if work.key in self._memory:
            self._memory.move_to_end(work.key)
            return self._memory[work.key]
        found = self._find(work)
        if found is None:
            for needed in work.needs():
                self._obtain(needed)
            if isinstance(work, Kept):
                # Another process may be at it: whoever waits for the lock then finds the result.
                with self.store.lock(work.key):
                    found = self._find(work) or self._keep(work)
            else:
                found = self._do(work)
        self._memory[work.key] = found
        while len(self._memory) > REMEMBERED:
            self._memory.popitem(last=False)
        return found

    def _find(self, work: Work) -> tuple[Any, Made] | None:
        folder = self.store.find(work.kind, work.key) if isinstance(work, Kept) else None
        if folder is None:
            return None
        assert isinstance(work, Kept)
        for other in work.reads():
            self._obtain(other)  # first, since an error in other work is no damage to this one
        try:
            return work.load(folder, self), self.store.made(folder)
        except (BadInputError, OSError, ValueError, KeyError, TypeError) as error:
            if self.store.find(work.kind, work.key) is not None:
                warnings.warn(f"{work} in the cache is damaged and is made again ({error})", stacklevel=2)
                self.store.remove(folder)
            return None

    def _keep(self, work: Kept) -> tuple[Any, Made]:
        value, made = self._do(work)
        self.store.put(work.kind, work.key, lambda folder: work.save(value, folder), made)
        self.did(work, made)
        return value, made

    def _do(self, work: Work) -> tuple[Any, Made]:
        with Clock() as clock:
            value = work.make(self)
        return value, clock.made(what=str(work))


def save_tensors(path: Path, **tensors: Tensor) -> None:
    """Write tensors; a full disk shows as the `OSError` that it is."""
    path.write_bytes(tensors_to_bytes({name: tensor.contiguous() for name, tensor in tensors.items()}))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors, mapped into memory.

    Raises:
        BadInputError: the file is damaged.
    """
    try:
        return load_file(path)
    except SafetensorError as error:
        raise BadInputError("cannot read tensors", [f"{path.name} is damaged ({error})"]) from error
