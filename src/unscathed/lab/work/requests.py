"""Requests: what an adversary asks to have forgotten, and the twins that answer it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from unscathed.adversaries import Adversary, BlindView, Ranking
from unscathed.lab.components import Component
from unscathed.lab.experiment import Setting
from unscathed.lab.work.base import Bench, Kept, KeptTensor, Work
from unscathed.lab.work.data import identity_of
from unscathed.lab.work.models import Open, Original
from unscathed.reserve import SpareSet, Twins
from unscathed.similarity import Similarity


@dataclass(frozen=True)
class Values(KeptTensor):
    """How much a ranking adversary wants each sample: shared by all its budgets.

    Args:
        setting: of the original.
        adversary: who ranks; its budget does not matter.
    """

    kind = "scores"

    setting: Setting
    adversary: Component

    def needs(self) -> tuple[Work, ...]:
        """What the adversary may look at: the samples, or the original."""
        return (_shown(_adversary(self.adversary, self.setting), self.setting),)

    def identity(self) -> Any:
        """Who ranks, whatever the budget, and from which seed where it draws."""
        arguments = tuple((name, value) for name, value in self.adversary.arguments if name != "budget")
        who = identity_of(Component(self.adversary.kind, self.adversary.name, arguments))
        return [who, self.setting.seeds.adversary] if "seed" in self.adversary.parameters else who

    def make(self, bench: Bench) -> Tensor:
        """Rank."""
        adversary = _adversary(self.adversary, self.setting)
        assert isinstance(adversary, Ranking)
        return adversary.values(_view(adversary, self.setting, bench)).cpu()

    def __str__(self) -> str:
        return f"ranking samples for {self.adversary}, {self.setting.dataset}, seed {self.setting.seed}"


@dataclass(frozen=True)
class Choice(Kept):
    """A forget set: ids, most wanted first.

    Args:
        setting: of the original.
        adversary: who chooses.
    """

    kind = "forget-set"

    setting: Setting
    adversary: Component

    def needs(self) -> tuple[Work, ...]:
        """What the adversary may look at: samples, the original, or its ranking of them."""
        adversary = _adversary(self.adversary, self.setting)
        if isinstance(adversary, Ranking):
            return (Values(self.setting, self.adversary),)
        return (_shown(adversary, self.setting),)

    def identity(self) -> Any:
        """Who chooses, and from which seed."""
        return [identity_of(self.adversary), self.setting.seeds.adversary]

    def make(self, bench: Bench) -> tuple[str, ...]:
        """Choose."""
        adversary = _adversary(self.adversary, self.setting)
        view = _view(adversary, self.setting, bench)
        if isinstance(adversary, Ranking):
            return adversary.choose(view, values=bench.obtain(Values(self.setting, self.adversary)))
        return adversary.choose(view)

    def save(self, value: tuple[str, ...], folder: Path) -> None:
        """Write the ids."""
        (folder / "ids.json").write_text(json.dumps(value))

    def load(self, folder: Path, bench: Bench) -> tuple[str, ...]:
        """Read the ids."""
        return tuple(json.loads((folder / "ids.json").read_text()))

    def __str__(self) -> str:
        return f"{self.adversary} on {self.setting.dataset}, seed {self.setting.seed}"


@dataclass(frozen=True)
class SpareVectors(KeptTensor):
    """The reserve's vectors, in the space in which twins are sought.

    Args:
        setting: of the original.
        similarity: the distance and its space.
    """

    kind = "features"

    setting: Setting
    similarity: Component

    def needs(self) -> tuple[Work, ...]:
        """The original, whose features they may be."""
        return (Original(self.setting),)

    def identity(self) -> Any:
        """The similarity."""
        return identity_of(self.similarity)

    def make(self, bench: Bench) -> Tensor:
        """The spares' vectors."""
        similarity: Similarity = self.similarity.build()
        spares = bench.obtain(Open(self.setting)).spares
        return similarity.space.vectors(spares, bench.obtain(Original(self.setting))).cpu()

    def __str__(self) -> str:
        return f"embedding the reserve for {self.similarity}, {self.setting.dataset}, seed {self.setting.seed}"


@dataclass(frozen=True)
class Match(Kept):
    """Which spares stand in for a forget set.

    Args:
        setting: of the original.
        choice: what is forgotten.
        similarity: what makes a spare a twin.
    """

    kind = "twins"

    setting: Setting
    choice: Choice
    similarity: Component

    def needs(self) -> tuple[Work, ...]:
        """The forget set and the reserve's vectors."""
        return (self.choice, SpareVectors(self.setting, self.similarity))

    def reads(self) -> tuple[Work, ...]:
        """The setting, among whose spares the twins are."""
        return (Open(self.setting),)

    def identity(self) -> Any:
        """What happens where spares run short."""
        return identity_of(self.setting.reserve)

    def make(self, bench: Bench) -> Twins:
        """Match; each attack meets a full reserve."""
        opened = bench.obtain(Open(self.setting))
        choice, vectors = (bench.obtain(work) for work in self.needs())
        reserve: SpareSet = self.setting.reserve.build().of(opened.spares, self.similarity.build())
        original = bench.obtain(Original(self.setting))
        reserve.vectors.adopt(vectors, opened.spares, original)
        return reserve.match(opened.samples.only(choice), original)

    def save(self, value: Twins, folder: Path) -> None:
        """Write who stands in for whom."""
        record = {name: part for name, part in asdict(_without_samples(value)).items() if name != "samples"}
        (folder / "twins.json").write_text(json.dumps(record))

    def load(self, folder: Path, bench: Bench) -> Twins:
        """Read who stands in for whom."""
        record = json.loads((folder / "twins.json").read_text())
        ids = record["spare_of"].values()
        samples = bench.obtain(Open(self.setting)).spares.only(ids) if ids else None
        return Twins(
            **{**record, "samples": samples, "missing": tuple(record["missing"]), "reused": tuple(record["reused"])}
        )

    def __str__(self) -> str:
        return f"matching twins for {self.choice}"


def _without_samples(twins: Twins) -> Twins:
    return replace(twins, samples=None)


def _adversary(component: Component, setting: Setting) -> Adversary[Any]:
    adversary: Adversary[Any] = component.build({"seed": setting.seeds.adversary})
    return adversary


def _shown(adversary: Adversary[Any], setting: Setting) -> Work:
    """What must be there before this adversary has something to look at."""
    return Open(setting) if adversary.view_type is BlindView else Original(setting)


def _view(adversary: Adversary[Any], setting: Setting, bench: Bench) -> BlindView:
    """The least that this adversary needs, and no more."""
    opened = bench.obtain(Open(setting))
    if adversary.view_type is BlindView:
        return BlindView(opened.samples)  # no model is trained for it
    return adversary.view_type.of(bench.obtain(Original(setting)), opened.samples, validation=opened.validation)
