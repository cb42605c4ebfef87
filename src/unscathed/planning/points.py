"""Points: what one pilot healing measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PilotPoint:
    """One size of reserve and one seed, after the pilot's last request.

    Args:
        share: of the samples that was held back.
        seed: of the split, of training and of who asks.
        spares: how many were held back.
        forgotten: how many samples were asked for.
        original: mean score on test before all requests.
        gold: of the model trained without the forgotten.
        healed: of the healed model.
        control: of the model healed on retained data alone for as many steps.
        distance: mean twin distance; NaN where there were no twins.
        asked: how many samples of each class were asked for.
        held: how many spares of each class there were.
        missing: how many samples of each class got no twin.
        ran_out: the request (counted from 1) that first got too few twins; None where all got theirs.
    """

    share: float
    seed: int
    spares: int
    forgotten: int
    original: float
    gold: float
    healed: float
    control: float
    distance: float
    asked: Mapping[str, int]
    held: Mapping[str, int]
    missing: Mapping[str, int]
    ran_out: int | None

    @property
    def loss(self) -> float:
        """How far the healed model's mean score lies below gold's."""
        return self.gold - self.healed

    @property
    def control_loss(self) -> float:
        """How far the control's does."""
        return self.gold - self.control

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        record = asdict(self)
        record["distance"] = None if self.distance != self.distance else self.distance
        return {**record, "loss": self.loss, "control_loss": self.control_loss}
