"""Stream: requests of many requesters in the order of their arrival, single or batched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.streams.requesters import Requester, ViewOf
from unscathed.training.seeds import derive, generator

Left = Callable[[], Samples]
"""What of the first training set is still there."""


@dataclass(frozen=True)
class Request:
    """What one requester asks for.

    Args:
        time: of its arrival, in the units of the requesters' rates.
        requester: who asks: a position in the stream's requesters.
        ids: the samples to forget.
        hostile: whether an adversary asks. Whoever honours requests does not know.
    """

    time: float
    requester: int
    ids: tuple[str, ...]
    hostile: bool


class Stream:
    """Requests of several requesters, mixed by their rates.

    Args:
        requesters: who asks.
        requests: how many there are in all; fewer where nobody has anything left to ask for.
        batch: how many are collected before they are honoured together.

    Raises:
        BadInputError: nobody asks, or for nothing.
    """

    def __init__(self, requesters: Sequence[Requester], *, requests: int, batch: int = 1) -> None:
        problems = Problems("cannot make a stream")
        problems.require(len(requesters) > 0, "there are no requesters")
        strange = [repr(r) for r in requesters if not isinstance(r, Requester)]
        problems.require(
            not strange, f"{', '.join(strange)} sends no requests; wrap an adversary, e.g. Hostile(OneClass(20))"
        )
        for name, count in (("requests", requests), ("batch", batch)):
            whole = isinstance(count, int) and count >= 1
            problems.require(whole, f"{name}={count} must be a number of requests, at least 1")
        problems.raise_any()
        self.requesters = tuple(requesters)
        self.requests = requests
        self.batch = batch

    def __repr__(self) -> str:
        return f"Stream({list(self.requesters)!r}, requests={self.requests}, batch={self.batch})"

    def batches(self, samples: Samples, left: Left, view_of: ViewOf, *, seed: int) -> Iterator[tuple[Request, ...]]:
        """Requests that are honoured together, as long as any come; each is chosen when it arrives.

        Args:
            samples: what the first model was trained on.
            left: says what of it is still there.
            view_of: what an adversary may know of the model as it now is.
            seed: of arrivals, and of what requesters draw.
        """
        choosing = [r.begin(samples, view_of, derive(seed, "requester", n)) for n, r in enumerate(self.requesters)]
        arrivals = self._arrivals(seed)
        active = set(range(len(self.requesters)))
        sent = 0
        while active and sent < self.requests:
            collected: list[Request] = []
            while active and len(collected) < min(self.batch, self.requests - sent):
                time, who = next(arrivals)
                if who not in active:
                    continue
                # What waits to be honoured is asked for already.
                asked = [i for request in collected for i in request.ids]
                ids = choosing[who](left().without(asked))
                if ids:
                    collected.append(Request(time, who, ids, self.requesters[who].hostile))
                else:
                    active.discard(who)
            if collected:
                sent += len(collected)
                yield tuple(collected)

    def _arrivals(self, seed: int) -> Iterator[tuple[float, int]]:
        """When the next request arrives, and whose: Poisson processes, merged."""
        draw = generator(seed, "arrivals")
        rates = torch.tensor([r.rate for r in self.requesters], dtype=torch.float64)
        time = 0.0
        while True:
            gap = torch.empty((), dtype=torch.float64).exponential_(float(rates.sum()), generator=draw)
            time += float(gap)
            yield time, int(torch.multinomial(rates, 1, generator=draw))
