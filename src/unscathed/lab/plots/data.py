"""Data: measurements arranged for plots, a panel for each forget set and a state for each point on a model's way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from unscathed.lab import labels
from unscathed.lab.frames import PLACE, SETTING, SPREAD, complete, measured, telling
from unscathed.lab.labels import Labels, Measure, parse, strategy
from unscathed.lab.statistics import Estimate, Interval, differences, estimate
from unscathed.problems import BadInputError


@dataclass(frozen=True)
class State:
    """A point on a model's way.

    Args:
        stage: original, gold, unlearned or healed.
        label: what it is called.
        short: the same under a heading that says ``healed with``.
        sign: the stage, or the strategy of healing: what its marker goes by.
    """

    stage: str
    label: str
    short: str
    sign: str


class Data:
    """One measure, ready to be drawn.

    Args:
        frame: measurements, see `read`; of one setting or of several.
        measure: its name, or ``"test"`` or ``"forget"`` for the task's score on these.
        against: take differences, see `differences`.
        interval: over seeds.

    Raises:
        BadInputError: it was not measured.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        measure: str,
        *,
        against: str | Mapping[str, Any] | None = None,
        interval: Interval = "t",
    ) -> None:
        found = [measure]
        if measure in ("test", "forget"):
            found = [name for kind in ("accuracy", "score") if (name := f"{measure}_{kind}") in set(frame["measure"])]
        rows = measured(frame, found[0]).dropna(subset=["value"]) if found else frame.iloc[:0]
        if against is not None:
            rows = differences(rows, against)
        if rows.empty:
            raise BadInputError("cannot draw the plot", [f"{measure} was not measured"])
        self.measure: Measure = labels.measure(found[0])
        self.interval = interval
        self.names = {axis: Labels(axis, frame[axis].unique()) for axis in PLACE}
        self.apart = telling(frame, SETTING)
        rows = rows[[*PLACE, "measure", "value", "forget_size", "training_samples"]].assign(
            state=lambda table: [self._state(*key) for key in table[["stage", *SPREAD[1:]]].itertuples(index=False)],
            share=lambda table: 100 * table["forget_size"] / table["training_samples"],
            kind=lambda table: [parse(text).title for text in table["adversary"].astype(str)],
            setting=lambda table: [self._about(key) for key in table[list(SETTING)].itertuples(index=False)],
        )
        self.plain = rows[rows["unlearner"].isna()]
        self.rows = complete(rows, ["unlearner"])
        self.rows["name"] = [self.names["unlearner"](value) for value in self.rows["unlearner"]]

    @cached_property
    def healers(self) -> list[tuple[str, str | None]]:
        """Healers with their similarity, as they occur."""
        pairs = self.rows[["healer", "similarity"]].drop_duplicates().dropna(subset=["healer"])
        return [(h, s if s == s else None) for h, s in pairs.itertuples(index=False)]

    @cached_property
    def states(self) -> list[State]:
        """All states that occur, in the order of a model's life."""
        order = list(labels.STATES)
        found = self.rows.sort_values(["healer", "similarity"], na_position="first")["state"].unique()
        return sorted(found, key=lambda state: order.index(state.stage))

    @property
    def healed(self) -> list[State]:
        """The healed states."""
        return [state for state in self.states if state.stage == "healed"]

    @cached_property
    def unlearners(self) -> list[str]:
        """Labels of the unlearners."""
        return [self.names["unlearner"](value) for value in self.names["unlearner"].values]

    def shared(self, stage: str, panel: pd.DataFrame) -> pd.DataFrame:
        """What a panel's unlearners have in common: gold, or the original that is not one unlearner's own."""
        same = ["setting", "adversary", "seed"]
        return self.plain[self.plain["stage"] == stage].merge(panel[same].drop_duplicates(), on=same)

    def of(self, name: str, rows: pd.DataFrame) -> pd.DataFrame:
        """Of some rows those of the unlearner of this label."""
        return rows[rows["name"] == name]

    def panels(self, by: Sequence[str] = ("adversary",)) -> list[tuple[str, pd.DataFrame]]:
        """The rows of each setting and adversary (or other columns), with their label."""
        keys = ["setting", *by]
        groups = self.rows.groupby(keys, observed=True, sort=False)
        found = []
        for key, rows in sorted(groups, key=lambda pair: self._place(by, pair[0])):
            shown = [text for text in (key[0], *(self._text(a, v) for a, v in zip(by, key[1:], strict=True))) if text]
            found.append((" · ".join(shown), rows))
        return found

    def estimate(self, rows: pd.DataFrame) -> Estimate:
        """Mean and interval of these rows, one a seed."""
        if rows["seed"].duplicated().any():
            raise AssertionError("several values of one seed meet in a point: an axis is missing")
        return estimate(rows["value"], self.interval)

    @property
    def note(self) -> str:
        """What n is, and what is drawn."""
        counts = self.rows.groupby([*(axis for axis in PLACE if axis != "seed"), "kind"], observed=True, dropna=False)
        sizes = sorted(set(counts["seed"].nunique()))
        if sizes[-1] == 1:
            return "one seed, no interval"
        n = f"n = {sizes[0]}" if len(sizes) == 1 else f"n = {sizes[0]} to {sizes[-1]}"
        return f"mean and 95 % {self.interval} interval over seeds, {n}; dots are single seeds"

    def _state(self, stage: str, healer: Any, similarity: Any) -> State:
        if stage != "healed" or healer is None or healer != healer:
            return State(stage, stage, stage, stage)
        names = self.names
        about = [names["healer"](healer)] if len(names["healer"].values) > 1 else []
        if similarity == similarity and similarity is not None and len(names["similarity"].values) > 1:
            about.append(names["similarity"](similarity))
        short = ", ".join(about)
        return State(stage, f"healed, {short}" if about else "healed", short or "healed", strategy(healer))

    def _about(self, key: tuple[Any, ...]) -> str:
        values = dict(zip(SETTING, key, strict=True))
        return " · ".join(self.names[axis](values[axis]) for axis in self.apart)

    def _text(self, axis: str, value: Any) -> str:
        return self.names[axis](value) if axis in self.names else str(value)

    def _place(self, by: Sequence[str], key: tuple[Any, ...]) -> tuple[Any, ...]:
        order = {axis: {v: i for i, v in enumerate(self.names[axis].values)} for axis in by if axis in self.names}
        kinds = list(labels.TITLES.values())
        return (
            key[0],
            *(
                order[axis][part] if axis in order else (kinds.index(part) if part in kinds else len(kinds))
                for axis, part in zip(by, key[1:], strict=True)
            ),
        )
