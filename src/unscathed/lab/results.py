"""Results: what an experiment measured, and what made it."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from unscathed.training.checkpoint import write_atomically

Stage = Literal["original", "gold", "unlearned", "healed"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model, measured.

    Args:
        dataset: the data set's name.
        adversary: who chose the forget set.
        unlearner: the method that this model belongs to.
        healer: the healing strategy, for ``stage="healed"``.
        stage: ``original``, ``gold``, ``unlearned`` or ``healed``.
        seed: of the run.
        test_accuracy: on test samples, percent.
        forget_accuracy: on the forgotten samples, percent.
        membership_auc: how well margins tell the forgotten from test samples of their class; 0.5 is chance.
        steps: gradient steps of this stage alone.
        seconds: wall time of this stage alone.
        forget_size: samples forgotten.
        reserve_left: unspent spares after this stage.
        whole: the audit's word on utility against gold; None for gold.
        forgotten: the audit's word on forgetting against gold. The original is the control: where it does not fail,
            the audit cannot tell, and nothing passes.
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


@dataclass(frozen=True)
class TwinPair:
    """A forgotten sample and the spare that stands in for it.

    Args:
        adversary: who had it forgotten.
        forgotten: its id.
        twin: the spare's id.
        label: the class that both are of.
        distance: between them.
        forgotten_image: uint8 [channels, height, width].
        twin_image: the same.
    """

    adversary: str
    forgotten: str
    twin: str
    label: str
    distance: float
    forgotten_image: npt.NDArray[np.uint8]
    twin_image: npt.NDArray[np.uint8]


@dataclass
class Results:
    """Everything that a report shows.

    Args:
        dataset: the data set's name.
        environment: versions, hardware, command, sizes, as plain JSON.
        rows: the measurements.
        twins: a few pairs for each adversary.
        notes: what the reader must know, a sentence each.
    """

    dataset: str
    environment: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    twins: list[TwinPair] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def write_json(self, path: Path) -> None:
        """Write ``{"environment": …, "rows": […]}``, atomically."""
        content = {"environment": self.environment, "rows": [asdict(row) for row in self.rows]}
        write_atomically(path, json.dumps(content, indent=1).encode())


def environment(**more: Any) -> dict[str, Any]:
    """What a result depends on besides its settings: versions and hardware, joined by ``more``."""
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "versions": {
            "unscathed": version("unscathed"),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        **more,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
