"""Samples: inputs and targets under stable ids.

A `Samples` is a light view: selecting, splitting and joining parts of one data set copies no rows, and inputs
keep the type they came in (images stay uint8 until a batch is prepared).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from unscathed import sources
from unscathed.problems import BadInputError, Problems, some


class Batch(NamedTuple):
    """Some rows: ``inputs`` [n, ...] and ``targets`` [n, ...] (``[n, 0]`` where samples have no targets)."""

    inputs: Tensor
    targets: Tensor


class _Rows:
    """The rows that views share. Everything above asks only for `take`, so rows on disk can stand here too."""

    def __init__(self, inputs: Tensor, targets: Tensor, ids: list[str] | None) -> None:
        self.inputs = inputs
        self.targets = targets
        self._ids = ids

    def take(self, positions: Tensor) -> Batch:
        positions = positions.to(self.inputs.device)
        return Batch(self.inputs[positions], self.targets[positions])

    @cached_property
    def ids(self) -> list[str]:
        return self._ids if self._ids is not None else _distinct(self.digests)

    @cached_property
    def digests(self) -> list[str]:
        rows = self.inputs.detach().cpu().contiguous()
        header = f"{rows.dtype}{tuple(rows.shape[1:])}".encode()
        flat = rows.reshape(len(rows), -1).view(torch.uint8).numpy()
        return [hashlib.blake2b(header + row.tobytes(), digest_size=16).hexdigest() for row in flat]


class Samples:
    """Inputs and targets with stable ids.

    Args:
        inputs: [n, ...] array, tensor, or a list of equally shaped ones; any dtype (float64 is kept).
        targets: [n, ...] array or tensor, or None for tasks without targets. Integers become int64.
        ids: one distinct id a sample (integers are read as their decimal string); by default the digest of
            the sample's content, with ``#2``, ``#3`` … appended for exact copies.
        classes: the class names, where targets are class indices.

    Raises:
        BadInputError: lengths differ, shapes are mixed, inputs are NaN or infinite, ids repeat.
    """

    def __init__(
        self,
        inputs: Any,
        targets: Any = None,
        ids: Iterable[str | int] | None = None,
        *,
        classes: Sequence[str] | None = None,
    ) -> None:
        problems = Problems("cannot make samples")
        inputs_tensor = sources.as_tensor(inputs, "inputs", problems)
        count = len(inputs_tensor) if inputs_tensor.ndim else 0
        targets_tensor = torch.empty(count, 0) if targets is None else sources.as_tensor(targets, "targets", problems)
        if not targets_tensor.is_floating_point():
            targets_tensor = targets_tensor.long()
        listed = None if ids is None else [str(i) for i in ids]

        if not problems.found:
            problems.require(count > 0, "there are no inputs; give at least one sample")
            problems.require(
                len(targets_tensor) == count, f"{count} inputs but {len(targets_tensor)} targets; give one a sample"
            )
            for name, tensor in (("inputs", inputs_tensor), ("targets", targets_tensor)):
                bad = _not_finite(tensor)
                problems.require(
                    not bad, f"{len(bad)} {name} hold NaN or infinite values (rows {some(bad)}); repair or drop them"
                )
        if listed is not None:
            problems.require(len(listed) == count, f"{count} inputs but {len(listed)} ids; give one a sample")
            repeated = [i for i, times in Counter(listed).items() if times > 1]
            problems.require(not repeated, f"{len(repeated)} ids are repeated ({some(repeated)}); ids must be distinct")
        problems.raise_any()

        self._rows = _Rows(inputs_tensor, targets_tensor, listed)
        self._positions = torch.arange(count)
        self.classes = None if classes is None else tuple(classes)

    # Other places that samples come from.

    @classmethod
    def from_dataset(cls, dataset: Any, ids: Iterable[str | int] | None = None) -> Samples:
        """Read a map-style torch dataset of ``(input, target)`` pairs."""
        inputs, targets, classes = sources.read_dataset(dataset)
        return cls(inputs, targets, ids, classes=classes)

    @classmethod
    def from_hugging_face(
        cls, dataset: Any, *, inputs: str | None = None, targets: str | None = None, ids: str | None = None
    ) -> Samples:
        """Read a Hugging Face dataset; columns are guessed (the image, the label) unless named."""
        rows, labels, names, classes = sources.read_hugging_face(dataset, inputs, targets, ids)
        return cls(rows, labels, names, classes=classes)

    @classmethod
    def from_image_folder(cls, folder: str | Path, *, size: int | None = None) -> Samples:
        """Read ``folder/CLASS/*.jpg`` (or png, webp …) as uint8 [3, size, size]; ids are the paths in it."""
        images, labels, names, classes = sources.read_image_folder(Path(folder), size)
        return cls(images, labels, names, classes=classes)

    # What they are.

    def __len__(self) -> int:
        return len(self._positions)

    def __getstate__(self) -> dict[str, Any]:
        # A worker is sent the rows of this view alone, not all those that it shares with others.
        batch = self.take(torch.arange(len(self)))
        rows = _Rows(batch.inputs, batch.targets, list(self.ids))
        return {"_rows": rows, "_positions": torch.arange(len(self)), "classes": self.classes}

    def __repr__(self) -> str:
        return f"Samples({len(self)} of shape {tuple(self.shape)}, {str(self.dtype).removeprefix('torch.')})"

    @property
    def shape(self) -> torch.Size:
        """The shape of one input."""
        return self._rows.inputs.shape[1:]

    @property
    def dtype(self) -> torch.dtype:
        """The type that inputs are kept in."""
        return self._rows.inputs.dtype

    @property
    def nbytes(self) -> int:
        """Bytes that the inputs of these samples take."""
        return len(self) * self.shape.numel() * self.dtype.itemsize

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The ids, in order."""
        return tuple(self._rows.ids[p] for p in self._positions.tolist())

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """A digest of each input's content: equal for equal inputs, whatever their ids and targets."""
        return tuple(self._rows.digests[p] for p in self._positions.tolist())

    @property
    def inputs(self) -> Tensor:
        """All inputs [n, ...], as a copy."""
        return self.take(torch.arange(len(self))).inputs

    @property
    def targets(self) -> Tensor:
        """All targets [n, ...], as a copy."""
        return self._rows.targets[self._positions.to(self._rows.targets.device)]

    def take(self, positions: Tensor) -> Batch:
        """The rows at ``positions`` (int64 [k], counted within these samples)."""
        return self._rows.take(self._positions[positions])

    def batches(self, size: int) -> Iterator[Batch]:
        """All rows in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self._rows.take(self._positions[start : start + size])

    # Parts and unions.

    def only(self, ids: Iterable[str | int]) -> Samples:
        """The samples with these ids, in the order asked for; raises on unknown or repeated ids."""
        return self._view(self._positions[self.positions(ids)])

    def without(self, ids: Iterable[str | int]) -> Samples:
        """All samples but these; raises on unknown or repeated ids."""
        keep = torch.ones(len(self), dtype=torch.bool)
        keep[self.positions(ids)] = False
        return self._view(self._positions[keep])

    def at(self, positions: Tensor) -> Samples:
        """The samples at ``positions`` (int64 [k], counted within these samples, none twice)."""
        return self._view(self._positions[positions])

    def positions(self, ids: Iterable[str | int]) -> Tensor:
        """Where these ids stand, int64 [k].

        Raises:
            BadInputError: ids are unknown or repeated (all are named at once).
        """
        listed = as_ids(ids)
        problems = Problems("cannot select samples")
        problems.extend(self.problems_with(listed))
        problems.raise_any()
        return torch.tensor([self._position_of[i] for i in listed], dtype=torch.long)

    def problems_with(self, ids: Sequence[str]) -> list[str]:
        """What is wrong with a list of ids: those unknown here, those named twice."""
        unknown = [i for i in ids if i not in self._position_of]
        repeated = [i for i, times in Counter(ids).items() if times > 1]
        found = []
        if unknown:
            found.append(f"{len(unknown)} ids are unknown ({some(unknown)}); ask for ids of these {len(self)} samples")
        if repeated:
            found.append(f"{len(repeated)} ids are repeated ({some(repeated)}); name each once")
        return found

    def split(self, *, reserve: float | int, seed: int) -> tuple[Samples, Samples]:
        """Hold samples back: ``(retain, spares)``, by class where targets are classes.

        Args:
            reserve: the share (0 < float < 1) or the number (int) to hold back.
            seed: which ones.

        Raises:
            BadInputError: nothing, or everything, would be held back.
        """
        problems = Problems("cannot hold a reserve back")
        count = reserve if isinstance(reserve, int) else round(reserve * len(self))
        problems.require(
            0 < count < len(self),
            f"reserve={reserve} of {len(self)} samples is {count} to hold back; "
            "give a share between 0 and 1, or a number, that leaves both parts some",
        )
        problems.require(0 <= seed < 2**32, f"seed={seed} must lie in 0…{2**32 - 1}")
        problems.raise_any()
        strata = None
        if self._rows.targets.ndim == 1 and not self._rows.targets.is_floating_point():
            labels = self.targets.cpu().numpy()
            sizes = np.unique(labels, return_counts=True)[1]
            if sizes.min() >= 2 and min(count, len(self) - count) >= len(sizes):
                strata = labels
        retain, spares = train_test_split(
            np.arange(len(self)), test_size=count, random_state=seed, stratify=strata, shuffle=True
        )
        return tuple(self._view(self._positions[torch.from_numpy(np.sort(p))]) for p in (retain, spares))  # type: ignore[return-value]

    def __add__(self, other: Samples) -> Samples:
        """Both, one after the other; raises where they share an id or differ in shape."""
        problems = Problems("cannot join samples")
        shared = set(self.ids) & set(other.ids)
        problems.require(not shared, f"both hold {len(shared)} of the same ids ({some(sorted(shared))})")
        problems.require(
            self.shape == other.shape and self.dtype == other.dtype,
            f"inputs are {tuple(self.shape)} {self.dtype} and {tuple(other.shape)} {other.dtype}; they must agree",
        )
        problems.raise_any()
        if self._rows is other._rows:
            return self._view(torch.cat([self._positions, other._positions]))
        return Samples(
            torch.cat([self.inputs, other.inputs]),
            torch.cat([self.targets, other.targets]),
            self.ids + other.ids,
            classes=self.classes,
        )

    def copies_of(self, others: Samples) -> dict[str, tuple[str, ...]]:
        """For each of ``others``, which samples here have the same content under another id (if any)."""
        here: defaultdict[str, list[str]] = defaultdict(list)
        for sample, digest in zip(self.ids, self.digests, strict=True):
            here[digest].append(sample)
        found = {
            sample: tuple(i for i in here.get(digest, ()) if i != sample)
            for sample, digest in zip(others.ids, others.digests, strict=True)
        }
        return {sample: copies for sample, copies in found.items() if copies}

    def to(self, device: torch.device) -> Samples:
        """The same samples with their rows on ``device``; itself if they are there already."""
        if self._rows.inputs.device == device:
            return self
        batch = self.take(torch.arange(len(self)))
        moved = self._view(torch.arange(len(self)))
        moved._rows = _Rows(batch.inputs.to(device), batch.targets.to(device), list(self.ids))
        return moved

    def _view(self, positions: Tensor) -> Samples:
        view = object.__new__(Samples)
        view._rows = self._rows
        view._positions = positions
        view.classes = self.classes
        return view

    @cached_property
    def _position_of(self) -> dict[str, int]:
        return {sample: position for position, sample in enumerate(self.ids)}


def as_ids(ids: Iterable[str | int]) -> list[str]:
    """Ids as strings; a lone string is refused, since it would be read letter by letter."""
    if isinstance(ids, str):
        raise BadInputError("cannot read the ids", [f"{ids!r} is one string; give a list of ids, e.g. [{ids!r}]"])
    return [str(i) for i in ids]


def _not_finite(tensor: Tensor) -> list[int]:
    """The rows that hold a NaN or an infinity."""
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return []
    finite = torch.isfinite(tensor.reshape(len(tensor), -1)).all(dim=1)
    return (~finite).nonzero().flatten().tolist()


def _distinct(digests: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    ids = []
    for digest in digests:
        seen[digest] += 1
        ids.append(digest if seen[digest] == 1 else f"{digest}#{seen[digest]}")
    return ids
