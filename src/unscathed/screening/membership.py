"""Membership: only what was learned can be unlearned, and a door tells which requests name that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from unscathed.problems import BadInputError, Problems
from unscathed.reserve.candidates import Candidates
from unscathed.reserve.proximity import calibrated_radius
from unscathed.reserve.search import nearest
from unscathed.samples import Samples, as_ids
from unscathed.similarity import Cosine, Euclidean, Metric, Similarity
from unscathed.training import Trained

Reason = Literal["unknown id", "other target", "near a member", "not a member"]


@dataclass(frozen=True)
class Refusal:
    """What is not let through, and why.

    Args:
        asked: its id in the request.
        reason: ``"unknown id"``; of content, ``"other target"`` (a member's input, under a target that it does not
            have), ``"near a member"`` (within the radius that keeps distinct members apart) or ``"not a member"``.
        nearest: the id of the nearest member; None where there is no distance.
        distance: to that member; None of ids, and of inputs that cannot be compared with the members'.
    """

    asked: str
    reason: Reason
    nearest: str | None = None
    distance: float | None = None

    def __str__(self) -> str:
        beside = f", {self.distance:.3g} from {self.nearest!r}" if self.distance is not None else ""
        return f"{self.asked!r} ({self.reason}{beside})"


@dataclass(frozen=True)
class Admission:
    """What a door says of a request.

    Args:
        admitted: the ids of the members that may be unlearned, each once, in the order asked for.
        refused: the rest of the request, in the order asked for.
    """

    admitted: tuple[str, ...]
    refused: tuple[Refusal, ...]

    def raise_any(self) -> None:
        """Raise `BadInputError` that names what was refused, if anything was."""
        if self.refused:
            why = f"{len(self.refused)} were never learned ({some_refused(self.refused)}); ask for what was, unchanged"
            raise BadInputError("cannot let this request through", [why])


class Door:
    """Lets members through, by id or by content, and nothing else.

    An unlearner undoes what training did. Asked to undo what training never did, it does harm, most of all on inputs
    that were made for that (`adversaries.Outsider`). So content must be a member's, byte for byte and of its type, with
    its target: who can delete a sample can show it. Near is not enough, for nearly the same is where such inputs lie;
    how near it was, and whether within the radius that sets distinct members apart, is told with the refusal.

    Args:
        members: the samples that were trained on.
        trained: the model, where distances are to be taken in a space that it makes; without, they are Euclidean
            between inputs, in whose units uint8's 255 is 1.
        similarity: the distance, if there is a model; by default `Cosine` in its features. It decides what is told, and
            never who is let through.

    Raises:
        BadInputError: there are no members, or a similarity without a model.
    """

    def __init__(
        self, members: Samples, *, trained: Trained | None = None, similarity: Similarity | None = None
    ) -> None:
        problems = Problems("cannot make a door")
        problems.require(len(members) > 0, "there are no members")
        problems.require(
            trained is not None or similarity is None, f"similarity={similarity!r} needs the model; give trained=…"
        )
        problems.raise_any()
        self.members = members
        self.trained = trained
        self.similarity = similarity if similarity is not None else Euclidean() if trained is None else Cosine()

    def __repr__(self) -> str:
        beside = "" if self.trained is None else f", trained={self.trained!r}, similarity={self.similarity!r}"
        return f"Door({self.members!r}{beside})"

    def admit(self, request: Samples | Iterable[str | int]) -> Admission:
        """What of a request may be unlearned.

        Args:
            request: ids, or content: samples, whose ids say nothing (only refusals name them). Where they have no
                targets (``[n, 0]``), inputs alone decide. All members of the same content are admitted: deleting one
                copy deletes nothing.
        """
        if isinstance(request, Samples):
            return self._by_content(request)
        listed = dict.fromkeys(as_ids(request))
        inside = set(self.members.ids)
        return Admission(
            tuple(i for i in listed if i in inside), tuple(Refusal(i, "unknown id") for i in listed if i not in inside)
        )

    @cached_property
    def radius(self) -> float:
        """The distance within which all but 1 % of distinct members have no other; 0 where there are too few."""
        return calibrated_radius(self._metric, self._vectors, None)

    def _by_content(self, request: Samples) -> Admission:
        admitted: dict[str, None] = {}
        strangers: dict[int, Reason] = {}
        targets = request.targets.cpu()
        for row, digest in enumerate(request.digests):
            of_input = self._positions.get(digest, [])
            same = [p for p in of_input if _same_target(targets[row], self._targets[p])]
            admitted.update((self.members.ids[p], None) for p in same)
            if not same:
                strangers[row] = "other target" if of_input else "not a member"
        rows = torch.tensor(list(strangers), dtype=torch.long)
        if not len(rows):
            return Admission(tuple(admitted), ())
        refused = self._refusals(request.at(rows), list(strangers.values()))
        return Admission(tuple(admitted), refused)

    def _refusals(self, strangers: Samples, reasons: list[Reason]) -> tuple[Refusal, ...]:
        """Why each is refused, with the nearest member, where they can be compared."""
        if (strangers.shape, strangers.dtype) != (self.members.shape, self.members.dtype):
            return tuple(Refusal(i, reason) for i, reason in zip(strangers.ids, reasons, strict=True))
        candidates = Candidates(self._vectors, self._metric)
        found, squared = nearest(candidates.placed(self._vectors_of(strangers)), candidates, 1)
        distances = self._metric.distance(squared[:, 0]).tolist()
        told: list[Refusal] = []
        for i, reason, member, distance in zip(strangers.ids, reasons, found[:, 0].tolist(), distances, strict=True):
            near = reason == "not a member" and distance <= self.radius
            told.append(Refusal(i, "near a member" if near else reason, self.members.ids[member], distance))
        return tuple(told)

    @cached_property
    def _positions(self) -> dict[str, list[int]]:
        """Where each content stands."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for position, digest in enumerate(self.members.digests):
            found[digest].append(position)
        return dict(found)

    @cached_property
    def _targets(self) -> Tensor:
        return self.members.targets.cpu()

    @cached_property
    def _vectors(self) -> Tensor:
        return self._vectors_of(self.members)

    @cached_property
    def _metric(self) -> Metric:
        labels = None if self.trained is None else self.trained.task.labels(self._targets)
        return self.similarity.fit(self._vectors, labels)

    def _vectors_of(self, samples: Samples) -> Tensor:
        if self.trained is not None:
            return self.similarity.space.vectors(samples, self.trained).cpu()
        inputs = samples.inputs.flatten(1).float().cpu()
        return inputs / 255 if samples.dtype == torch.uint8 else inputs


def some_refused(refused: tuple[Refusal, ...], limit: int = 5) -> str:
    """The first few refusals, for an error message."""
    shown = ", ".join(str(r) for r in refused[:limit])
    return shown if len(refused) <= limit else f"{shown} and {len(refused) - limit} more"


def _same_target(asked: Tensor, own: Tensor) -> bool:
    """Whether a target is a member's, or none was named."""
    return asked.shape == (0,) or (asked.shape == own.shape and bool((asked == own).all()))
