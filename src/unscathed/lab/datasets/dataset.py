"""Dataset: samples to train on, samples to test on, and the facts that models and tasks are built from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unscathed.samples import Samples


@dataclass(frozen=True, eq=False)
class Dataset:
    """Real data, ready to learn from. It unpacks: ``samples, test = datasets.digits()``.

    Args:
        name: what tables call it.
        samples: to train on and to hold a reserve back from.
        test: held out.
        facts: what a model's or a task's constructor may ask for by the name of its argument: ``classes``,
            ``channels``, ``normalise``, ``vocabulary`` …; ``classes``, and of images ``channels`` and ``shape``
            (channels, height, width), are read off the samples.
    """

    name: str
    samples: Samples
    test: Samples
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        read: dict[str, Any] = {}
        if self.samples.classes is not None:
            read["classes"] = len(self.samples.classes)
        if len(self.samples.shape) == 3:
            read["channels"] = self.samples.shape[0]
            read["shape"] = tuple(self.samples.shape)
        object.__setattr__(self, "facts", {**read, **self.facts})

    def smaller(self, training: int | None) -> Dataset:
        """The same with so many training samples, by class, always the same ones; None leaves all."""
        if training is None:
            return self
        return replace(self, samples=self.samples.split(reserve=training, seed=0)[1])

    def __iter__(self) -> Iterator[Samples]:
        return iter((self.samples, self.test))


def folder_of(name: str, path: str | Path | None) -> Path | None:
    """Where a data set lies: ``path``, else the folder of its name in ``UNSCATHED_DATA``, else None (the hub)."""
    if path is not None:
        return Path(path)
    root = os.environ.get("UNSCATHED_DATA")
    found = Path(root) / name if root else None
    return found if found is not None and found.is_dir() else None
