"""Results: what an experiment measured, and what made it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Stage = Literal["original", "gold", "unlearned", "healed"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model, measured. Components are named by their constructor texts.

    Args:
        dataset: the data set's name.
        adversary: who chose the forget set.
        unlearner: the method that this model belongs to.
        healer: the healer, for ``stage="healed"``.
        stage: ``original``, ``gold``, ``unlearned`` or ``healed``.
        seed: of the run.
        test_accuracy: on test samples, percent; or the task's score, where that is no share of right answers.
        forget_accuracy: on the forgotten samples, the same.
        membership_auc: how well margins tell the forgotten from test samples of their class; 0.5 is chance.
        steps: gradient steps of this stage alone.
        seconds: wall time of this stage alone.
        forget_size: samples forgotten.
        reserve_left: unspent spares after this stage.
        whole: the audit's word on utility against gold; None for gold.
        forgotten: the audit's word on forgetting against gold. The original is the control: where it does not fail,
            the audit cannot tell, and nothing passes.
        similarity: what found the twins, where they were used.
        twins: how many were used; None where none could be.
        refused: spares that were too close to a forgotten sample to be a twin.
    """

    dataset: str
    adversary: str
    unlearner: str
    healer: str | None
    stage: Stage
    seed: int
    test_accuracy: float
    forget_accuracy: float
    membership_auc: float
    steps: int
    seconds: float
    forget_size: int
    reserve_left: int
    whole: str | None = None
    forgotten: str | None = None
    similarity: str | None = None
    twins: int | None = None
    refused: int = 0


@dataclass(frozen=True)
class TwinPair:
    """A forgotten sample and the spare that stands in for it.

    Args:
        adversary: who had it forgotten.
        forgotten: its id.
        twin: the spare's id.
        label: the class that both are of.
        distance: between them.
        forgotten_image: as PNG; None where it is no picture.
        twin_image: the same.
    """

    adversary: str
    forgotten: str
    twin: str
    label: str
    distance: float
    forgotten_image: bytes | None
    twin_image: bytes | None


@dataclass
class Results:
    """Everything that a report shows of one setting.

    Args:
        dataset: the data set's name.
        environment: versions, hardware, command, sizes, as plain JSON.
        rows: the measurements.
        twins: a few pairs for each adversary.
        notes: what the reader must know, a sentence each.
        title: the setting's name where there are several; by default the data set's.
        shares: whether the task's score is a share of right answers.
        frame: the measurements that the rows come from (`read`); None where there are none.
    """

    dataset: str
    environment: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    twins: list[TwinPair] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    title: str = ""
    shares: bool = True
    frame: Any = None


def as_png(pixels: npt.NDArray[np.uint8]) -> bytes | None:
    """Pixels, uint8 [channels, height, width], as PNG; None where they are no picture."""
    from PIL import Image

    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3, 4):
        return None
    buffer = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
