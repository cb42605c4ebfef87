"""Requesters: who sends requests into a stream, how often, and how each chooses what to ask for."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch

from unscathed.adversaries import Adversary, BlindView
from unscathed.problems import BadInputError, Problems
from unscathed.samples import Samples
from unscathed.training.seeds import derive, generator

ViewOf = Callable[[Adversary[Any], Samples], BlindView]
"""What an adversary may know of the model as it now is, and of those of its samples that are still there."""

Choose = Callable[[Samples], tuple[str, ...]]
"""From what is still there of the first training set, the ids to ask for next; none where there is nothing left."""


class Requester(ABC):
    """Someone who sends requests, as a Poisson process.

    Args:
        rate: requests per unit of time; only ratios of rates matter to the order of a stream.
    """

    hostile: bool = False

    def __init__(self, rate: float) -> None:
        problems = Problems(f"cannot use {type(self).__name__}")
        problems.require(math.isfinite(rate) and rate > 0, f"rate={rate} must be positive, in requests a unit of time")
        problems.raise_any()
        self.rate = rate

    @abstractmethod
    def begin(self, samples: Samples, view_of: ViewOf, seed: int) -> Choose:
        """Who chooses in one run.

        Args:
            samples: what the first model was trained on.
            view_of: what may be known of the model, asked anew for each request or once.
            seed: of whatever is drawn.

        Raises:
            BadInputError: there is not enough to choose from, or to choose by.
        """


class Benign(Requester):
    """People who want to be forgotten, for reasons of their own: each asks for what is theirs, once.

    Args:
        rate: requests a unit of time.
        owners: whose each sample is, by id; who is drawn asks for all that is theirs. Samples left out have an owner
            each; by default all have.
    """

    def __init__(self, rate: float = 1.0, *, owners: Mapping[str, str] | None = None) -> None:
        super().__init__(rate)
        self.owners = owners

    def __repr__(self) -> str:
        return f"Benign(rate={self.rate:g}{', owners=…' if self.owners else ''})"

    def begin(self, samples: Samples, view_of: ViewOf, seed: int) -> Choose:
        """See `Requester.begin`; no model is looked at."""
        owners = self.owners or {}
        holdings: dict[str, list[str]] = {}
        for i in samples.ids:
            # What no owner is known of cannot be an owner's name by accident.
            holdings.setdefault(f"owner {owners[i]}" if i in owners else f"sample {i}", []).append(i)
        names = list(holdings)
        order = torch.randperm(len(names), generator=generator(seed, "benign requesters")).tolist()
        waiting = [holdings[names[p]] for p in reversed(order)]

        def choose(left: Samples) -> tuple[str, ...]:
            there = set(left.ids)
            while waiting:
                # An adversary may have asked for some of it before.
                wanted = tuple(i for i in waiting.pop() if i in there)
                if wanted and len(wanted) < len(left):
                    return wanted
            return ()

        return choose


class Hostile(Requester):
    """An adversary that sends its requests in among the others'.

    Args:
        adversary: chooses; its budget is one request's.
        rate: requests a unit of time.
        owns: the share of the samples that is the adversary's own, drawn at random: it may ask for no others.
        requests: how many it sends at most; by default as many as come.
        adaptive: whether it sees the model as it now is before each request. Otherwise it chooses from the first model
            alone (an ``int`` budget times ``requests`` samples at once), and sends them in that order.

    Raises:
        BadInputError: a setting that cannot be.
    """

    hostile = True

    def __init__(
        self,
        adversary: Adversary[Any],
        rate: float = 1.0,
        *,
        owns: float = 1.0,
        requests: int | None = None,
        adaptive: bool = True,
    ) -> None:
        super().__init__(rate)
        problems = Problems("cannot use Hostile")
        problems.require(0 < owns <= 1, f"owns={owns} must be a share of the samples, above 0, up to 1")
        problems.require(requests is None or requests >= 1, f"requests={requests} must be at least 1")
        problems.require(
            adaptive or (requests is not None and isinstance(adversary.budget, int)),
            f"an adversary that chooses everything beforehand must know how much that is; give requests=… and a budget "
            f"in samples (it is {adversary.budget!r}), or adaptive=True",
        )
        problems.raise_any()
        self.adversary = adversary
        self.owns = owns
        self.requests = requests
        self.adaptive = adaptive

    def __repr__(self) -> str:
        return (
            f"Hostile({self.adversary!r}, rate={self.rate:g}, owns={self.owns:g}, requests={self.requests}, "
            f"adaptive={self.adaptive})"
        )

    def begin(self, samples: Samples, view_of: ViewOf, seed: int) -> Choose:
        """See `Requester.begin`; views are of the adversary's own samples."""
        count = max(1, round(self.owns * len(samples)))
        order = torch.randperm(len(samples), generator=generator(seed, "what the adversary owns"))
        own = samples.at(order[:count].sort().values)
        return self._adaptively(own, view_of, seed) if self.adaptive else self._beforehand(own, view_of, seed)

    def _adaptively(self, own: Samples, view_of: ViewOf, seed: int) -> Choose:
        self.adversary.check(view_of(self.adversary, own))
        sent = 0

        def choose(left: Samples) -> tuple[str, ...]:
            nonlocal sent
            there = set(left.ids)
            mine = left.only([i for i in own.ids if i in there])
            if sent == self.requests or not len(mine):
                return ()
            asking = self._seeded(derive(seed, "hostile requests", sent))
            # The last of its own it may ask for whole: others' samples remain.
            asked = asking.count(len(mine))
            if asked >= len(mine):
                return mine.ids if len(mine) < len(left) else ()
            sent += 1
            try:
                return asking.choose(view_of(asking, mine))
            except BadInputError:
                if sent == 1:
                    raise
                return ()  # it finds nothing any more that it would ask for (all of its class is gone, say)

        return choose

    def _beforehand(self, own: Samples, view_of: ViewOf, seed: int) -> Choose:
        assert self.requests is not None
        assert isinstance(self.adversary.budget, int)
        size = self.adversary.budget
        asking = self._seeded(derive(seed, "hostile requests"))
        asking.budget = min(size * self.requests, len(own) - 1)
        chosen = list(asking.choose(view_of(asking, own)))

        def choose(left: Samples) -> tuple[str, ...]:
            there = set(left.ids)
            waiting = [i for i in chosen if i in there]
            wanted = tuple(waiting[:size])
            del chosen[:]
            chosen.extend(waiting[size:])
            return wanted if len(wanted) < len(left) else ()

        return choose

    def _seeded(self, seed: int) -> Adversary[Any]:
        asking = copy.copy(self.adversary)
        if getattr(asking, "seed", None) is not None:
            asking.seed = derive(asking.seed, "stream", seed)  # type: ignore[attr-defined]
        return asking
