"""Price: a request is suspicious if it costs more than others."""

from __future__ import annotations

from collections.abc import Sequence

from unscathed.problems import BadInputError
from unscathed.samples import Samples
from unscathed.screening.base import Score, Screen
from unscathed.training import Trained
from unscathed.unlearners.costs import expected_cost, request_cost


class Price(Screen):
    """Requests that cost a model in shards more than random ones of the same size, as the ratio of the two.

    Raises:
        BadInputError: when it is fitted, the model was not trained in shards, and all requests cost it the same.
    """

    name = "price"

    def __repr__(self) -> str:
        return "Price()"

    def fit(self, trained: Trained, samples: Samples) -> Score:
        """See `Screen.fit`."""
        layout = trained.shards
        if not layout:
            raise BadInputError(
                "cannot screen requests",
                ["Price looks at shards, and this model has none: all requests cost it about the same; leave it out"],
            )
        held = sum(len(part) for shard in layout for part in shard)
        slices = max(len(shard) for shard in layout)

        def score(request: Sequence[str]) -> float:
            usual = expected_cost(held, shards=len(layout), slices=slices, requests=min(len(request), held))
            return request_cost(layout, request) / usual if usual > 0 else 0.0

        return score
