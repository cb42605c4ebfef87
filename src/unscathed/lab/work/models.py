"""Models: originals, gold, and what unlearners make of originals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from unscathed.lab.components import Component
from unscathed.lab.datasets import Dataset
from unscathed.lab.defaults import recipe_of, task_of
from unscathed.lab.experiment import Setting
from unscathed.lab.work.base import Bench, Kept, Work
from unscathed.lab.work.data import Data, identity_of
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training import Recipe, Trained, fit
from unscathed.unlearners import Retrain, Unlearner


@dataclass(frozen=True)
class Opened:
    """A setting with its data in hand.

    Args:
        dataset: it.
        task: what is learned.
        recipe: how.
        samples: to train on.
        spares: held back.
        test: the test samples that are reported.
        validation: the test samples that adversaries aim at; the same ones where the setting parts them not.
    """

    dataset: Dataset
    task: Task
    recipe: Recipe
    samples: Samples
    spares: Samples
    test: Samples
    validation: Samples

    @cached_property
    def parameters(self) -> int:
        """The model's."""
        return int(self.task.signature()["parameters"])

    def forgotten(self, choice: tuple[str, ...]) -> Samples:
        """The samples of a forget set; the same object each time, so that models remember what they make of it."""
        if choice not in self._forgotten:
            self._forgotten[choice] = self.samples.only(choice)
        return self._forgotten[choice]

    @cached_property
    def _forgotten(self) -> dict[tuple[str, ...], Samples]:
        return {}


@dataclass(frozen=True)
class Open(Work):
    """Opens a setting: reads the data and splits it. Each process does so for itself; nothing is kept."""

    kind = "setting"

    setting: Setting

    def needs(self) -> tuple[Work, ...]:
        """The data."""
        return (Data(self.setting.dataset),)

    def identity(self) -> Any:
        """What is trained on what, and how."""
        s = self.setting
        parts = [identity_of(part) for part in (s.model, s.task, s.reserve) if part is not None]
        parts += [recipe_of(s.recipe, s.dataset, s.task, s.model).to_json(), s.seeds.split, s.seeds.training]
        return parts if s.validation is None else [*parts, {"validation": s.validation}]

    def make(self, bench: Bench) -> Opened:
        """Read and split."""
        s = self.setting
        dataset: Dataset = bench.obtain(Data(s.dataset))
        samples, spares = dataset.samples.split(reserve=s.reserve.build().share, seed=s.seeds.split)
        test = validation = dataset.test
        if s.validation is not None:
            # The same ones for all seeds: what is reported is of the same samples.
            test, validation = dataset.test.split(reserve=s.validation, seed=0)
        return Opened(
            dataset,
            task_of(s.task, s.model, dataset),
            recipe_of(s.recipe, s.dataset, s.task, s.model),
            samples,
            spares,
            test,
            validation,
        )

    def __str__(self) -> str:
        return f"opening {self.setting.dataset}"


class Model(Kept):
    """Work whose result is a trained model of a setting."""

    setting: Setting

    def reads(self) -> tuple[Work, ...]:
        """The setting, whose task the model is for."""
        return (Open(self.setting),)

    def save(self, value: Trained, folder: Path) -> None:
        """Write the model."""
        value.save(folder)

    def load(self, folder: Path, bench: Bench) -> Trained:
        """Read the model."""
        return Trained.load(folder, bench.obtain(Open(self.setting)).task)


@dataclass(frozen=True)
class Original(Model):
    """The model before anything is forgotten.

    Args:
        setting: what it is trained on.
        by: the unlearner that must train it its own way (SISA); None for plain training.
    """

    kind = "original"

    setting: Setting
    by: Component | None = None

    def needs(self) -> tuple[Work, ...]:
        """The setting."""
        return (Open(self.setting),)

    def identity(self) -> Any:
        """Who trains."""
        return identity_of(self.by) if self.by else None

    def make(self, bench: Bench) -> Trained:
        """Train."""
        opened, seed = bench.obtain(Open(self.setting)), self.setting.seeds.training
        if self.by is None:
            return fit(
                opened.task, opened.samples, opened.recipe, seed=seed, callbacks=bench.callbacks, what="original"
            )
        trained: Trained = self.by.build().fit(
            opened.task, opened.samples, opened.recipe, seed=seed, callbacks=bench.callbacks
        )
        return trained

    def __str__(self) -> str:
        return f"training {f'{self.by} on ' if self.by else ''}{self.setting.dataset}, seed {self.setting.seed}"


def original_for(setting: Setting, unlearner: Component) -> Original:
    """The original that an unlearner starts from."""
    return Original(setting, unlearner if unlearner_of(unlearner).trains_original else None)


@dataclass(frozen=True)
class Gold(Model):
    """The model retrained without the forgotten.

    Args:
        setting: of the original.
        choice: what is forgotten.
    """

    kind = "gold"

    setting: Setting
    choice: Work

    def needs(self) -> tuple[Work, ...]:
        """The original, whose recipe and seed gold shares, and the forget set."""
        return (Original(self.setting), self.choice)

    def identity(self) -> Any:
        """Nothing more."""
        return None

    def make(self, bench: Bench) -> Trained:
        """Train again."""
        original, samples = bench.obtain(Original(self.setting)), bench.obtain(Open(self.setting)).samples
        return Retrain().unlearn(original, samples, bench.obtain(self.choice), callbacks=bench.callbacks)

    def __str__(self) -> str:
        return f"training gold for {self.choice}"


@dataclass(frozen=True)
class Retrained(Model):
    """What a method's own way of training gives without the forgotten.

    Args:
        setting: of the original.
        choice: what is forgotten.
        by: the method.
    """

    kind = "retrained"

    setting: Setting
    choice: Work
    by: Component

    def needs(self) -> tuple[Work, ...]:
        """The setting and the forget set."""
        return (Open(self.setting), self.choice)

    def identity(self) -> Any:
        """Who trains."""
        return identity_of(self.by)

    def make(self, bench: Bench) -> Trained:
        """Train."""
        opened, choice = (bench.obtain(work) for work in self.needs())
        retain, seed = opened.samples.without(choice), self.setting.seeds.training
        trained: Trained = self.by.build().fit(opened.task, retain, opened.recipe, seed=seed, callbacks=bench.callbacks)
        return trained

    def __str__(self) -> str:
        return f"training again with {self.by} for {self.choice}"


@dataclass(frozen=True)
class Unlearned(Model):
    """What an unlearner makes of its original.

    Args:
        setting: of the original.
        choice: what is forgotten.
        unlearner: who does it.
    """

    kind = "unlearned"

    setting: Setting
    choice: Work
    unlearner: Component

    @cached_property
    def method(self) -> Unlearner:
        """The unlearner itself."""
        return unlearner_of(self.unlearner)

    def needs(self) -> tuple[Work, ...]:
        """Its original and the forget set."""
        return (original_for(self.setting, self.unlearner), self.choice)

    def identity(self) -> Any:
        """Who does it, and from which seed."""
        return [identity_of(self.unlearner), self.setting.seeds.unlearner]

    def make(self, bench: Bench) -> Trained:
        """Unlearn."""
        original, choice = (bench.obtain(work) for work in self.needs())
        samples = bench.obtain(Open(self.setting)).samples
        # An exact method repeats the original's own random choices; only others have choices of their own.
        seed = None if self.method.exact else self.setting.seeds.unlearner
        return self.method.unlearn(original, samples, choice, seed=seed, callbacks=bench.callbacks)

    def __str__(self) -> str:
        return f"unlearning with {self.unlearner} for {self.choice}"


def unlearned_by(setting: Setting, choice: Work, unlearner: Component) -> Model:
    """What an unlearner makes of its original; retraining is gold itself, and is not done twice."""
    if isinstance(unlearner_of(unlearner), Retrain):
        return Gold(setting, choice)
    return Unlearned(setting, choice, unlearner)


def unlearner_of(component: Component) -> Unlearner:
    """The unlearner that a component names."""
    method: Unlearner = component.build()
    return method
