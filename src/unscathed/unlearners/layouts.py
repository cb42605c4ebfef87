"""Layouts: in which shard and slice of a SISA model each sample is trained."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from itertools import accumulate, pairwise

import torch

from unscathed.problems import Problems, some
from unscathed.samples import Samples
from unscathed.training.seeds import generator

Layout = tuple[tuple[tuple[str, ...], ...], ...]
"""Ids by shard and slice."""


def at_random(samples: Samples, *, shards: int, slices: int, seed: int = 0) -> Layout:
    """Samples drawn into shards and slices of equal size (sizes differ by one at most).

    Args:
        samples: what will be trained on.
        shards: S.
        slices: R.
        seed: of the draw.

    Raises:
        BadInputError: there are fewer samples than slices.
    """
    _check_counts(len(samples), shards, slices).raise_any()
    order = torch.tensor(_order(samples, seed))
    ids = samples.ids
    return tuple(
        tuple(tuple(ids[p] for p in part.tolist()) for part in shard.tensor_split(slices))
        for shard in order.tensor_split(shards)
    )


def by_requester(
    samples: Samples,
    requesters: Mapping[str, Hashable],
    *,
    shards: int,
    slices: int,
    likelihood: Mapping[Hashable, float] | None = None,
    seed: int = 0,
) -> Layout:
    """Samples placed so that what is asked for together lies together, and likely leavers share the last slices.

    Requesters are lined up by their likelihood to leave (in the seed's order where it is equal), and the line is cut
    into shards, and each shard into slices, where one requester ends and the next begins, as near to equal sizes as
    that allows. So all samples of a requester are in one shard, unless they are more than a shard's share (then they
    are parted evenly, into no more shards than needed), and no shard is further from its share than the largest
    requester has samples.

    Args:
        samples: what will be trained on.
        requesters: who may ask for a sample's removal, by id; samples left out have a requester each.
        shards: S.
        slices: R.
        likelihood: how likely each requester is to leave, in any unit, at least 0; those left out have 0.
        seed: of the order among equals.

    Raises:
        BadInputError: ids or requesters are unknown, likelihoods cannot be, or there are too few samples.

    Source: Bourtoule et al. 2021, "Machine Unlearning", section VIII (distribution-aware sharding).
    """
    asking = {str(i): who for i, who in requesters.items()}
    likelihood = likelihood or {}
    problems = _check_counts(len(samples), shards, slices)
    problems.extend(samples.problems_with(list(asking)))
    strangers = sorted(map(str, set(likelihood) - set(asking.values())))
    problems.require(not strangers, f"likelihood names {len(strangers)} requesters of no sample ({some(strangers)})")
    wrong = [who for who, value in likelihood.items() if not (math.isfinite(value) and value >= 0)]
    problems.require(not wrong, f"the likelihoods of {some(wrong)} must be finite and at least 0")
    problems.raise_any()

    # Marked by whether it was named, so that a requester who is called like a sample is not taken for it.
    groups: dict[tuple[bool, Hashable], list[str]] = {}
    for position in _order(samples, seed):
        sample = samples.ids[position]
        groups.setdefault((sample in asking, asking.get(sample, sample)), []).append(sample)
    line = sorted(groups, key=lambda group: likelihood.get(group[1], 0.0) if group[0] else 0.0)
    placed = _cut([groups[group] for group in line], shards)
    small = [shard for shard, pieces in enumerate(placed) if sum(map(len, pieces)) < slices]
    problems.require(
        not small, f"shards {small} would have fewer samples than slices, so large are the requesters; use fewer shards"
    )
    problems.raise_any()
    return tuple(tuple(tuple(i for piece in part for i in piece) for part in _cut(pieces, slices)) for pieces in placed)


def problems_with_layout(layout: Layout, samples: Samples, shards: int, slices: int) -> list[str]:
    """What makes a layout unfit for these samples, one sentence each."""
    found = []
    if len(layout) != shards or any(len(shard) != slices for shard in layout):
        shape = " + ".join(str(len(shard)) for shard in layout)
        found.append(f"the layout has {len(layout)} shards ({shape} slices); give {shards} × {slices}")
    empty = [shard for shard, parts in enumerate(layout) if not any(parts)]
    if empty:
        found.append(f"shards {empty} of the layout are empty")
    placed = Counter(flat(layout))
    known = set(samples.ids)
    for ids, what in (
        ([i for i, times in placed.items() if times > 1], "are placed more than once"),
        ([i for i in placed if i not in known], "are not among the samples"),
        ([i for i in samples.ids if i not in placed], "are not placed"),
    ):
        if ids:
            found.append(f"{len(ids)} ids {what} ({some(ids)})")
    return found


def flat(layout: Layout) -> tuple[str, ...]:
    """All ids of a layout."""
    return tuple(i for slices in layout for part in slices for i in part)


def without(layout: Layout, ids: set[str]) -> Layout:
    """The layout less some ids; slices may be left empty."""
    return tuple(tuple(tuple(i for i in part if i not in ids) for part in slices) for slices in layout)


def first_touched(layout: Layout, ids: set[str]) -> dict[int, int]:
    """For each shard that holds any of the ids, the first slice that does."""
    touched = {}
    for shard, slices in enumerate(layout):
        hit = [stage for stage, part in enumerate(slices) if not ids.isdisjoint(part)]
        if hit:
            touched[shard] = hit[0]
    return touched


def _check_counts(samples: int, shards: int, slices: int) -> Problems:
    problems = Problems("cannot lay samples out in shards")
    problems.require(min(shards, slices) >= 1, f"shards={shards} and slices={slices} must be at least 1")
    problems.require(samples >= shards * slices, f"{samples} samples are too few for {shards} × {slices} slices")
    return problems


def _order(samples: Samples, seed: int) -> list[int]:
    order: list[int] = torch.randperm(len(samples), generator=generator(seed, "SISA layout")).tolist()
    return order


def _cut(groups: Sequence[Sequence[str]], parts: int) -> list[list[Sequence[str]]]:
    """Cut a line of groups into parts of nearly equal size, between groups; those larger than a part come in pieces.

    Pieces are no longer than the distance of two cuts, and of two places equally near a cut takes the first: so no two
    cuts fall on one place, and no part is empty.
    """
    total = sum(map(len, groups))
    pieces = [piece for group in groups for piece in _pieces(group, total // parts)]
    places = [0, *accumulate(map(len, pieces))]
    cuts = [_nearest([place * parts for place in places], k * total) for k in range(parts + 1)]
    return [pieces[start:end] for start, end in pairwise(cuts)]


def _nearest(places: Sequence[int], wanted: int) -> int:
    """Which of some ascending places is nearest; of two, the first."""
    return min(range(len(places)), key=lambda at: abs(places[at] - wanted))


def _pieces(group: Sequence[str], longest: int) -> list[Sequence[str]]:
    """A group in as few pieces of nearly equal length as are no longer than ``longest``."""
    count = -(-len(group) // longest)
    return [group[len(group) * k // count : len(group) * (k + 1) // count] for k in range(count)]
