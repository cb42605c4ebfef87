"""A reserve on disk: its spares in parts, each written once, and a record that names them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensors_to_bytes

from unscathed.problems import BadInputError, Problems
from unscathed.samples import Samples
from unscathed.training.checkpoint import write_atomically

FORMAT = 1
RECORD = "reserve.json"
STOCK = "stock.sqlite"
"""The record of what is gone."""


def holds_reserve(folder: Path) -> bool:
    """Whether a reserve, or a part of one, was saved there."""
    return any((folder / name).exists() for name in (RECORD, STOCK))


def write_record(partners: Mapping[str, str], classes: Sequence[str] | None, folder: Path) -> None:
    """Begin a reserve that has no spares yet."""
    record = {"format": FORMAT, "classes": classes, "partners": dict(partners), "parts": []}
    write_atomically(folder / RECORD, json.dumps(record).encode())


def add_part(spares: Samples, folder: Path) -> None:
    """Add spares to a saved reserve: all of them, or, where this is cut off, none."""
    with FileLock(folder / f".{RECORD}.lock"):
        record = json.loads((folder / RECORD).read_text())
        name = f"spares-{len(record['parts']):03}"
        tensors = {"inputs": spares.inputs.contiguous(), "targets": spares.targets.contiguous()}
        write_atomically(folder / f"{name}.safetensors", tensors_to_bytes(tensors))
        write_atomically(folder / f"{name}.json", json.dumps(spares.ids).encode())
        record["parts"].append(name)
        write_atomically(folder / RECORD, json.dumps(record).encode())


def read_reserve(folder: Path) -> tuple[Samples, dict[str, str]]:
    """The spares, and who has a partner among them.

    Raises:
        BadInputError: there is no reserve, or it is damaged; all that is wrong is named.
    """
    problems = Problems(f"cannot load a reserve from {folder}")
    try:
        record = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError) as error:
        raise BadInputError(problems.what, [f"{RECORD} is missing or damaged ({error})"]) from error
    problems.require(
        record.get("format") == FORMAT, f"it is of format {record.get('format')}, and this version reads {FORMAT}"
    )
    problems.require(bool(record.get("parts")), "it holds no spares: saving it was cut off; save it again elsewhere")
    problems.require((folder / STOCK).exists(), f"{STOCK} is missing, so what was spent is not known")
    problems.raise_any()
    parts = []
    for name in record["parts"]:
        try:
            tensors = read_tensors((folder / f"{name}.safetensors").read_bytes())
            ids = json.loads((folder / f"{name}.json").read_text())
            parts.append(Samples(tensors["inputs"], tensors["targets"], ids, classes=record["classes"]))
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            problems.require(False, f"part {name} is missing or damaged ({error})")
    problems.raise_any()
    spares = parts[0]
    for part in parts[1:]:
        spares = spares + part
    return spares, record["partners"]
