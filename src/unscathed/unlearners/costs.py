"""What unlearning from a SISA model costs, in sample-epochs: passes of one sample through training.

Stage r of a shard trains on its slices 1 to r for ``2 e' / (R + 1)`` epochs, e' being the recipe's; so training a
model of N samples in any number of equal shards and slices costs e' N, as much as without.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import accumulate

from unscathed.problems import Problems
from unscathed.unlearners.layouts import Layout, first_touched, without


def stage_epochs(epochs: float, slices: int) -> float:
    """How many epochs each stage lasts, so that R stages show as many samples as ``epochs`` without slices.

    Source: Bourtoule et al. 2021, "Machine Unlearning", section V.
    """
    return epochs * 2 / (slices + 1)


def request_cost(layout: Layout, forget: Iterable[str], *, epochs: float = 1.0) -> float:
    """What it costs to forget these ids at once: each shard touched trains again from the first slice touched on.

    Args:
        layout: ids by shard and slice.
        forget: the ids; those in no shard cost nothing.
        epochs: e', the recipe's.
    """
    gone = set(forget)
    left = without(layout, gone)
    cost = 0.0
    for shard, first in first_touched(layout, gone).items():
        seen = list(accumulate(map(len, left[shard])))
        cost += stage_epochs(epochs, len(seen)) * sum(seen[first:])
    return cost


def expected_cost(
    samples: int, *, shards: int, slices: int, requests: int = 1, epochs: float = 1.0, at_once: bool = True
) -> float:
    """The expected cost of requests for samples drawn at random, from a layout of equal shards and slices.

    Stage r of a shard, which sees ``m_r`` of the N samples, is trained again if any of the K forgotten is among them,
    on those left. At once, K samples are drawn without return, X of them fall into ``m_r`` (hypergeometric), and
    ``E[1{X > 0} (m_r - X)] = m_r (1 - C(N - m_r, K) / C(N, K)) - K m_r / N``. One after the other, the request that
    follows j others costs ``m_r / N · (m_r - 1) (1 - j / (N - 1))``. Both are exact, whatever N and K. For one request
    and N ≫ S R the sum is ``e' N / S · (2/3 + 1/(3 R))``.

    Args:
        samples: N.
        shards: S.
        slices: R.
        requests: K.
        epochs: e', the recipe's; training all N samples once over costs e' N.
        at_once: whether the requests are honoured together, so that a shard that several hit is trained again once.

    Raises:
        BadInputError: the numbers cannot be.

    Source: Bourtoule et al. 2021, "Machine Unlearning", section V, there with N ≫ K.
    """
    problems = Problems("cannot say what requests cost")
    problems.require(min(shards, slices) >= 1, f"shards={shards} and slices={slices} must be at least 1")
    problems.require(samples >= shards * slices, f"{samples} samples are too few for {shards} × {slices} slices")
    problems.require(0 <= requests <= samples, f"requests={requests} must lie in 0…{samples}, the number of samples")
    problems.require(math.isfinite(epochs) and epochs > 0, f"epochs={epochs} must be positive")
    problems.raise_any()

    def stage(seen: int) -> float:
        """The expected number of samples on which a stage that saw so many is trained again, over all requests."""
        if at_once:
            spared = math.prod((samples - seen - k) / (samples - k) for k in range(requests))
            return seen * (1 - spared) - requests * seen / samples
        earlier = requests * (requests - 1) / 2
        return seen / samples * (seen - 1) * (requests - (earlier / (samples - 1) if earlier else 0))

    stages = (seen for size in _even(samples, shards) for seen in accumulate(_even(size, slices)))
    return stage_epochs(epochs, slices) * sum(map(stage, stages))


def _even(count: int, parts: int) -> list[int]:
    """So many, parted as evenly as can be, the larger parts first."""
    return [count // parts + (part < count % parts) for part in range(parts)]
