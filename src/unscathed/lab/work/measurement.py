"""Measurement: one model of one forget set, measured, as rows of a results folder."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from unscathed.audit import Controls, Verdict, audit, membership_auc
from unscathed.healing import HealingMethod
from unscathed.lab.clock import Clock
from unscathed.lab.components import Component
from unscathed.lab.defaults import recipe_of
from unscathed.lab.experiment import Setting
from unscathed.lab.provenance import provenance
from unscathed.lab.results import Stage, as_png
from unscathed.lab.schema import FORMAT, SCHEMA, TWINS
from unscathed.lab.store import Made
from unscathed.lab.work.base import Bench, Work
from unscathed.lab.work.models import (
    Gold,
    Model,
    Open,
    Opened,
    Original,
    Retrained,
    original_for,
    unlearned_by,
    unlearner_of,
)
from unscathed.lab.work.requests import Choice, Match
from unscathed.reserve import Twins
from unscathed.samples import Samples
from unscathed.training import Trained
from unscathed.training.checkpoint import write_atomically

MEASUREMENTS, PAIRS = "measurements", "twins"
"""Folders of a results folder."""
PAIRS_SHOWN = 6
Measures = list[tuple[str, float, str | None]]
"""Name, value, and the audit's word."""


@dataclass(frozen=True)
class Measurement:
    """One model of one forget set, to be measured. A component that is None makes no difference to it.

    Args:
        setting: of its original.
        adversary: who chose the forget set.
        stage: in the model's life.
        unlearner: the method; for ``stage="original"`` one that trains its own original.
        similarity: that finds the twins healed with.
        healer: for ``stage="healed"``.
    """

    setting: Setting
    adversary: Component
    stage: Stage
    unlearner: Component | None = None
    similarity: Component | None = None
    healer: Component | None = None

    @property
    def axes(self) -> dict[str, Any]:
        """Where it stands in a grid, as its rows say it."""
        s = self.setting
        parts = {
            "dataset": s.dataset, "model": s.model or "", "recipe": s.recipe, "task": s.task, "reserve": s.reserve,
            "similarity": self.similarity, "adversary": self.adversary, "unlearner": self.unlearner,
            "healer": self.healer,
        }  # fmt: skip
        named = {name: None if part is None else str(part) for name, part in parts.items()}
        return {**named, "stage": self.stage, "seed": s.seed}

    @cached_property
    def name(self) -> str:
        """A digest of its place in the grid, whatever the code's version: measured again, it replaces itself."""
        content: list[Any] = [self.axes, vars(self.setting.seeds)]
        if self.setting.validation is not None:
            content.append({"validation": self.setting.validation})
        return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=12).hexdigest()

    def path(self, results: Path) -> Path:
        """The file that its rows go to."""
        return results / MEASUREMENTS / f"{self.name}.parquet"

    @property
    def choice(self) -> Choice:
        """The forget set."""
        return Choice(self.setting, self.adversary)

    @property
    def model(self) -> Model:
        """The model measured; for healed ones the model that is healed."""
        if self.stage == "gold":
            return Gold(self.setting, self.choice)
        if self.stage == "original":
            return Original(self.setting, self.unlearner)
        assert self.unlearner is not None
        return unlearned_by(self.setting, self.choice, self.unlearner)

    @property
    def before(self) -> Original:
        """The original that the model comes from."""
        return original_for(self.setting, self.unlearner) if self.unlearner else Original(self.setting)

    @property
    def same_procedure(self) -> Model | None:
        """What its own way of training gives without the forgotten, where that is not gold's way (SISA)."""
        method = unlearner_of(self.unlearner) if self.unlearner else None
        if self.unlearner is None or method is None or not method.trains_original:
            return None
        if method.exact:
            return unlearned_by(self.setting, self.choice, self.unlearner)
        return Retrained(self.setting, self.choice, self.unlearner)

    def needs(self) -> tuple[Work, ...]:
        """The shared work that it stands on."""
        works: list[Work] = [self.before, Gold(self.setting, self.choice), self.model]
        works += [self.same_procedure] if self.same_procedure else []
        works += [Match(self.setting, self.choice, self.similarity)] if self.similarity else []
        return tuple(dict.fromkeys(works))

    def __str__(self) -> str:
        parts = [str(self.choice), *(str(p) for p in (self.unlearner, self.healer) if p is not None)]
        return f"measuring {self.stage}: {', '.join(parts)}"

    def write(self, bench: Bench, results: Path, experiment: str) -> None:
        """Do what is missing, measure, and write the rows; a file is there whole or not at all."""
        started = datetime.now(UTC).isoformat(timespec="seconds")
        opened: Opened = bench.obtain(Open(self.setting))
        model: Trained = bench.obtain(self.model)
        choice: tuple[str, ...] = bench.obtain(self.choice)
        twins: Twins | None = (
            bench.obtain(Match(self.setting, self.choice, self.similarity)) if self.similarity else None
        )
        cost = bench.cost(self.model)
        if self.healer is not None:
            model, cost = self._heal(model, opened, choice, twins, bench)
        event = model.history[-1]
        measures = self._measure(model, opened, opened.forgotten(choice), bench)
        if twins is not None:
            measures += _of_twins(twins, opened)
        common = {
            "experiment": experiment,
            **self.axes,
            "steps": event.steps,
            "wall_seconds": cost.seconds,
            "cpu_seconds": cost.cpu_seconds,
            "peak_memory": cost.peak_memory,
            "threads": cost.threads,
            "training_samples": len(opened.samples),
            "reserve_size": len(opened.spares),
            "test_samples": len(opened.test),
            "forget_size": len(choice),
            "parameters": opened.parameters,
            **{f"{p}_seed": getattr(self.setting.seeds, p) for p in ("split", "training", "adversary", "unlearner")},
            "key": self.model.key,
            "device": str(model.machine.device),
            "precision": str(model.machine.precision).removeprefix("torch."),
            "started": started,
            "config": json.dumps(self._config()),
            "format": FORMAT,
            **provenance(),
        }
        rows = [{**common, "measure": m, "value": v, "outcome": o} for m, v, o in measures]
        if twins is not None:
            pairs = _pairs(self.axes, twins, opened, choice)
            _write(pairs, TWINS, results / PAIRS / f"{self.name}.parquet")
        _write(rows, SCHEMA, self.path(results))

    def _heal(
        self, unlearned: Trained, opened: Opened, choice: tuple[str, ...], twins: Twins | None, bench: Bench
    ) -> tuple[Trained, Made]:
        assert self.healer is not None
        healer: HealingMethod = self.healer.build()
        # Spares that stand in for nobody; the test samples are what is reported.
        left = opened.spares.without(twins.fresh if twins else ())
        spares: Samples | None = None
        if healer.draws_spares and len(left) > 1:
            left, spares = left.split(reserve=0.5, seed=self.setting.seeds.healing)
        with Clock() as clock:
            healed = healer.heal(
                unlearned,
                retain=opened.samples.without(choice) if healer.uses_retain else None,
                twins=twins.samples if twins is not None else None,
                before=bench.obtain(self.before) if healer.needs_before else None,
                held_out=left if healer.needs_held_out else None,
                forgotten=opened.forgotten(choice) if healer.needs_forgotten else None,
                spares=spares,
                seed=self.setting.seeds.healing,
                callbacks=bench.callbacks,
            )
        return healed, clock.made()

    def _measure(self, model: Trained, opened: Opened, forgotten: Samples, bench: Bench) -> Measures:
        task, test = model.task, opened.test
        on_test, on_forgotten = model.evaluate(test), model.evaluate(forgotten)
        share = task.scores_are_shares
        unit, name = (100.0, "accuracy") if share else (1.0, "score")
        measures: Measures = [
            (f"test_{name}", unit * float(on_test.scores.double().mean()), None),
            (f"forget_{name}", unit * float(on_forgotten.scores.double().mean()), None),
            ("test_loss", float(on_test.losses.double().mean()), None),
            ("forget_loss", float(on_forgotten.losses.double().mean()), None),
        ]
        labels = task.labels(test.targets)
        if labels is not None:
            worst = min(float(on_test.scores[labels == c].double().mean()) for c in torch.unique(labels).tolist())
            measures.append((f"worst_class_{name}", unit * worst, None))
        area = membership_auc(on_forgotten.margins, on_test.margins, task.labels(forgotten.targets), labels)
        measures.append(("membership_auc", area, None))
        quality = model.quality(test, seed=self.setting.seeds.healing)
        measures += [(measure, found, None) for measure, found in quality.items()]
        if self.stage != "gold":
            verdict = self._audit(model, forgotten, test, bench)
            measures += [_word("whole", verdict.whole), _word("forgotten", verdict.forgotten)]
        return measures

    def _audit(self, model: Trained, forgotten: Samples, test: Samples, bench: Bench) -> Verdict:
        return audit(
            model,
            forgotten=forgotten,
            test=test,
            gold=bench.obtain(Gold(self.setting, self.choice)),
            same_procedure=bench.obtain(self.same_procedure) if self.same_procedure else None,
            original=bench.obtain(self.before),
            controls=Controls(random=False, no_op=False),  # the grid has the original; more would be evaluated a cell
        )

    def _config(self) -> dict[str, Any]:
        s = self.setting
        recipe = recipe_of(s.recipe, s.dataset, s.task, s.model)
        built = {
            name: repr(part.build())
            for name, part in (("unlearner", self.unlearner), ("similarity", self.similarity), ("healer", self.healer))
            if part is not None
        }
        named = {"dataset": s.dataset, "model": s.model, "task": s.task, "adversary": self.adversary}
        return {
            **{name: part.to_json() for name, part in named.items() if part is not None},
            "recipe": recipe.to_json(),
            "reserve": repr(s.reserve.build()),
            **built,
            "seeds": vars(s.seeds),
            **({} if s.validation is None else {"validation": s.validation}),
        }


def _word(measure: str, outcome: str) -> tuple[str, float, str]:
    return measure, {"pass": 1.0, "fail": 0.0}.get(outcome, float("nan")), outcome


def _of_twins(twins: Twins, opened: Opened) -> Measures:
    return [
        ("twins", float(len(twins)), None),
        ("twin_distance", twins.mean_distance, None),
        ("twins_refused", float(len(twins.refused)), None),
        ("reserve_left", float(len(opened.spares) - len(twins)), None),
    ]


def _pairs(axes: dict[str, Any], twins: Twins, opened: Opened, choice: tuple[str, ...]) -> list[dict[str, Any]]:
    """The first few pairs, with their pictures where they are pictures."""
    names, rows = opened.samples.classes, []
    for sample in [i for i in choice if i in twins.spare_of][:PAIRS_SHOWN]:
        one, other = opened.samples.only([sample]), opened.spares.only([twins.spare_of[sample]])
        labels = opened.task.labels(one.targets)
        label = "" if labels is None else names[int(labels)] if names else str(int(labels))
        rows.append(
            {
                **{axis: axes[axis] for axis in ("dataset", "adversary", "seed")},
                "forgotten": sample,
                "twin": other.ids[0],
                "label": label,
                "distance": twins.distances.get(sample, float("nan")),
                "forgotten_image": _picture(one),
                "twin_image": _picture(other),
            }
        )
    return rows


def _picture(samples: Samples) -> bytes | None:
    return as_png(samples.inputs[0].numpy()) if samples.dtype == torch.uint8 else None


def _write(rows: list[dict[str, Any]], schema: pa.Schema, path: Path) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer, compression="zstd")
    write_atomically(path, buffer.getvalue())
