"""Data: a data set, read once, kept so that every worker maps it into memory at no cost."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from unscathed.lab.code import file_digest
from unscathed.lab.components import Component
from unscathed.lab.datasets import Dataset
from unscathed.lab.work.base import Bench, Kept, Work, load_tensors, save_tensors
from unscathed.samples import Samples

FOLDERS = {"adult": "tabular", "ag_news": "text"}
"""Where data sets lie in the folder that ``UNSCATHED_DATA`` names, unless in one of their own name."""


@dataclass(frozen=True)
class Data(Kept):
    """A data set.

    Args:
        dataset: its component.
    """

    kind = "data"

    dataset: Component

    def needs(self) -> tuple[Work, ...]:
        """Nothing."""
        return ()

    def identity(self) -> Any:
        """The component, and the state of the files that it reads."""
        return [identity_of(self.dataset), _files_read(self.dataset)]

    def make(self, bench: Bench) -> Dataset:
        """Read it."""
        dataset: Dataset = self.dataset.build()
        return dataset

    def save(self, value: Dataset, folder: Path) -> None:
        """Rows as safetensors, ids and facts as JSON."""
        parts = {"samples": value.samples, "test": value.test}
        for name, part in parts.items():
            save_tensors(folder / f"{name}.safetensors", inputs=part.inputs, targets=part.targets)
        record = {
            "name": value.name,
            "classes": value.samples.classes,
            "facts": dict(value.facts),
            "ids": {name: part.ids for name, part in parts.items()},
        }
        (folder / "dataset.json").write_text(json.dumps(record))

    def load(self, folder: Path, bench: Bench) -> Dataset:
        """Read what `save` wrote."""
        record = json.loads((folder / "dataset.json").read_text())
        samples, test = (
            Samples(**load_tensors(folder / f"{name}.safetensors"), ids=record["ids"][name], classes=record["classes"])
            for name in ("samples", "test")
        )
        return Dataset(record["name"], samples, test, record["facts"])

    def __str__(self) -> str:
        return f"reading {self.dataset}"


def identity_of(component: Component) -> Any:
    """What a component is: how it is named, and the code of the parts that are a user's own."""
    own = {part.name: file_digest(path) for part in component if (path := part.own_source) is not None}
    return [component.to_json(), own] if own else component.to_json()


def _files_read(dataset: Component) -> str | None:
    """The state (names, sizes, times) of the files that a data set is read from, where they are known."""
    texts = [value for part in dataset for _, value in part.arguments if isinstance(value, str)]
    folder = os.environ.get("UNSCATHED_DATA")
    paths = [Path(text) for text in texts if os.sep in text or Path(text).exists()]
    if not any(path.exists() for path in paths) and folder is not None:
        paths = [Path(folder) / FOLDERS.get(dataset.name, dataset.name)]
    return _state(tuple(path for path in paths if path.exists())) or None


@cache
def _state(paths: tuple[Path, ...]) -> str:
    content = hashlib.blake2b(digest_size=8)
    for path in paths:
        files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
        for file in files:
            seen = file.stat()
            content.update(f"{file.relative_to(path)}/{seen.st_size}/{seen.st_mtime_ns}\n".encode())
    return content.hexdigest() if paths else ""
