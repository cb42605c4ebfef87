"""Healing a model in shards: each on its own samples only, so that later requests stay exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from unscathed.healing.base import steps_since
from unscathed.samples import Samples
from unscathed.training import Event, Trained
from unscathed.unlearners.sisa import join_members, member_of

HealShard = Callable[[Trained, Samples, int], Trained]
"""From a shard's model, what it is healed on, and its number."""


def heal_shards(
    unlearned: Trained, retain: Samples | None, twins: Samples | None, heal: HealShard
) -> tuple[Trained, int]:
    """Each shard on its own; twins join, as members of its last slice, the shards that have fewest samples.

    Those that are in a shard already stay in it.

    Args:
        unlearned: the model in shards.
        retain: retained samples, each healed on in its own shard.
        twins: spares that join.
        heal: what heals one shard.
    """
    shards = [list(slices) for slices in unlearned.shards]
    known, adopted = _homes(shards, twins)
    available = set(retain.ids) if retain is not None else set()
    members: dict[int, Trained] = {}
    spent = 0
    for shard, slices in enumerate(shards):
        own = [i for part in slices for i in part if i in available]
        stand_ins = known[shard] + adopted[shard]
        part = joined(
            retain.only(own) if retain is not None and own else None,
            twins.only(stand_ins) if twins is not None and stand_ins else None,
        )
        if part is None:
            continue
        member = member_of(unlearned, shard)
        members[shard] = heal(member, part, shard)
        spent += steps_since(member, members[shard])
        slices[-1] = (*slices[-1], *adopted[shard])
    event = Event(kind="healed", by="", samples=0, steps=spent, seconds=0.0)
    healed = join_members(unlearned, members, event)
    layout = tuple(tuple(slices) for slices in shards)
    ids = tuple(i for s in layout for part in s for i in part)
    return replace(healed, shards=layout, ids=ids, history=unlearned.history), spent


def joined(retain: Samples | None, twins: Samples | None) -> Samples | None:
    """Both, or whichever there is."""
    return retain + twins if retain is not None and twins is not None else retain or twins


def _homes(shards: list[list[tuple[str, ...]]], twins: Samples | None) -> tuple[list[list[str]], list[list[str]]]:
    """For each shard, the twins that it has and those that join it."""
    known: list[list[str]] = [[] for _ in shards]
    adopted: list[list[str]] = [[] for _ in shards]
    home = {i: shard for shard, slices in enumerate(shards) for part in slices for i in part}
    sizes = [sum(map(len, slices)) for slices in shards]
    for twin in twins.ids if twins is not None else ():
        if twin in home:
            known[home[twin]].append(twin)
            continue
        smallest = sizes.index(min(sizes))
        adopted[smallest].append(twin)
        sizes[smallest] += 1
    return known, adopted
