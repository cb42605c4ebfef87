"""Repair: what can be mended in a collapsed model without training it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from unscathed.healing.damage import built_unlike
from unscathed.problems import Problems, some
from unscathed.samples import Samples
from unscathed.training import Event, State, Trained, full_precision, state_of
from unscathed.training.seeds import derive, generator, seeded

RECALIBRATED_ON = 512
"""How many samples statistics are estimated on, at most."""


def recalibrate(
    trained: Trained,
    *,
    retain: Samples | None = None,
    twins: Samples | None = None,
    most: int = RECALIBRATED_ON,
    seed: int | None = None,
) -> Trained:
    """Estimate the running statistics of batch normalisation anew; the weights stay as they are.

    Mean and variance of what enters each norm, over all values of all samples looked at (not a moving average of
    batches' values, which remembers what was there before). The samples pass once, each batch normalised by its own
    statistics; where they fit into one, each norm's input then has exactly the mean and variance that it keeps. A model
    without such norms is returned as it is, and nothing is added to its history.

    Args:
        trained: the model; it is not changed.
        retain: samples that stay.
        twins: spares that stand in for what was forgotten; they are training data from now on.
        most: how many of all these are looked at, at most.
        seed: which of them; by default the model's own.

    Raises:
        BadInputError: there are too few samples, or retained ones that are not the model's, or it is in shards.
    """
    started = time.perf_counter()
    model = trained.model()
    norms = _norms(model)
    if not norms:
        return trained
    samples = _at_hand(trained, retain, twins)
    seed = derive(trained.seed if seed is None else seed, "recalibrate", len(trained.history))
    looked_at = samples.at(torch.randperm(len(samples), generator=generator(seed, "order"))[:most])
    moments = {name: _Moments() for name in norms}
    batches = math.ceil(len(looked_at) / max(256, 2 * trained.recipe.batch_size))
    with torch.no_grad(), _gathering(norms, moments):
        # Parts as even as can be: a last batch of one sample would have no variance.
        for part in torch.arange(len(looked_at)).chunk(batches):
            batch = trained.machine.stage(trained.task.prepare(trained.machine.stage(looked_at.take(part))))
            with trained.machine.computing():
                trained.task.outputs(model, batch)
    weights = dict(trained.weights)
    for name, found in moments.items():
        if found.count > 1:  # a norm that is never run keeps what it has
            for kept, value in (("running_mean", found.mean), ("running_var", found.variance)):
                weights[f"{name}.{kept}"] = value.to(weights[f"{name}.{kept}"])
    event = Event(
        kind="healed",
        by=f"recalibrate(most={most})",
        samples=len(looked_at),
        # A pass forward is a third of a step's work.
        steps=math.ceil(len(looked_at) / trained.recipe.batch_size / 3),
        seconds=time.perf_counter() - started,
        details={"repair": "recalibrate", "norms": len(norms)},
    )
    known = set(trained.ids)
    joined = () if twins is None else tuple(i for i in twins.ids if i not in known)
    return replace(trained, weights=weights, ids=trained.ids + joined, history=(*trained.history, event))


def reset_layers(trained: Trained, names: Iterable[str], *, seed: int | None = None) -> Trained:
    """Give some layers fresh weights and statistics, as a new model has; nothing of what they learned is left.

    Args:
        trained: the model; it is not changed.
        names: the layers (`Damage.destroyed`, say); a module's name stands for all that is in it.
        seed: of the fresh weights; by default drawn from the model's own, and others than it began with.

    Raises:
        BadInputError: there are no such layers.
    """
    wanted = _names(names)
    _problems_with("cannot reset layers", trained, wanted).raise_any()
    seed = derive(trained.seed if seed is None else seed, "reset", len(trained.history))
    with seeded(seed, "initialisation"):
        fresh = state_of(trained.task.build())
    return _exchanged(trained, wanted, fresh, f"reset_layers({wanted!r})", {"repair": "reset", "layers": wanted})


def graft_layers(trained: Trained, record: Trained, names: Iterable[str], *, allow_memory: bool = False) -> Trained:
    """Take some layers from a record of the model: a checkpoint, or the model before it unlearned.

    What a layer learned from the forgotten comes back with it. So a record that was trained on samples which are not in
    the model is refused, unless ``allow_memory`` says that this is wanted (in experiments, or where something unlearns
    again afterwards). The model's ids stay what they are, and the history says how many samples the record knew.

    Args:
        trained: the model; it is not changed.
        record: where the layers are taken from.
        names: which; a module's name stands for all that is in it.
        allow_memory: whether the record may have been trained on what is not in the model.

    Raises:
        BadInputError: there are no such layers, the models are not built alike, or the record may remember.
    """
    wanted = _names(names)
    problems = _problems_with("cannot graft layers", trained, wanted)
    problems.extend(built_unlike(trained, record))
    remembered = len(set(record.ids) - set(trained.ids))
    problems.require(
        allow_memory or not remembered,
        f"the record was trained on {remembered} samples that are not in the model, and its layers bring back what "
        "they learned of them; reset the layers instead, graft from a checkpoint that never saw these, "
        "or say allow_memory=True",
    )
    problems.raise_any()
    details = {"repair": "graft", "layers": wanted, "remembered": remembered}
    by = f"graft_layers({wanted!r}{', allow_memory=True' if allow_memory else ''})"
    return _exchanged(trained, wanted, record.weights, by, details)


def broken_layers(trained: Trained) -> list[str]:
    """The layers with values that are not finite, in the model's order."""
    broken = [n for n, w in trained.weights.items() if w.is_floating_point() and not torch.isfinite(w).all()]
    return list(dict.fromkeys(name.rpartition(".")[0] for name in broken))


def has_running_statistics(trained: Trained) -> bool:
    """Whether there is anything to recalibrate."""
    return bool(_norms(trained.model()))


def _norms(model: nn.Module) -> dict[str, _BatchNorm]:
    return {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm) and m.running_mean is not None}


def _names(names: Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _problems_with(what: str, trained: Trained, names: list[str]) -> Problems:
    problems = Problems(what)
    problems.require(bool(names), "no layers are named; where nothing is destroyed, there is nothing to mend")
    unknown = [name for name in names if not any(w.startswith(f"{name}.") for w in trained.weights)]
    problems.require(
        not unknown,
        f"the model has no layers with weights named {some(unknown)}; it has "
        f"{some(dict.fromkeys(w.rpartition('.')[0] for w in trained.weights))}",
    )
    return problems


def _exchanged(trained: Trained, names: list[str], source: State, by: str, details: dict[str, Any]) -> Trained:
    """The model with some layers' tensors taken from ``source``."""
    prefixes = tuple(f"{name}." for name in names)
    weights = {name: source[name] if name.startswith(prefixes) else w for name, w in trained.weights.items()}
    event = Event(kind="healed", by=by, samples=0, steps=0, seconds=0.0, details=details)
    return replace(trained, weights=weights, history=(*trained.history, event))


def _at_hand(trained: Trained, retain: Samples | None, twins: Samples | None) -> Samples:
    """Both, each once."""
    problems = Problems("cannot recalibrate")
    problems.require(
        not trained.shards,
        "the model is in shards, and statistics of all samples would tie them together; a Healer keeps them apart",
    )
    parts = [part for part in (retain, twins) if part is not None and len(part)]
    problems.require(
        sum(map(len, parts)) > 1, "statistics are of at least two samples; give retain=…, twins=…, or both"
    )
    foreign = set(retain.ids) - set(trained.ids) if retain is not None else set()
    problems.require(
        not foreign,
        f"{len(foreign)} retained samples are not in the model: their statistics would be those of what was forgotten "
        "or never seen; give what is left after unlearning",
    )
    for part in parts:
        problems.extend(trained.task.problems_with(part))
    problems.raise_any()
    if retain is None or twins is None or len(parts) == 1:
        return parts[0]
    return retain.without(set(twins.ids) & set(retain.ids)) + twins


class _Moments:
    """Mean and variance [channels] of all that enters a norm, joined in float64, batch by batch.

    Source: Chan, Golub and LeVeque 1983, "Algorithms for Computing the Sample Variance", equation 2.1.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = self._squares = torch.zeros((), dtype=torch.float64)

    def add(self, inputs: Tensor) -> None:
        """Inputs [n, channels, ...]."""
        rows = full_precision(inputs.detach()).movedim(1, -1).flatten(0, -2)
        mean = rows.mean(0)
        squares = (rows - mean).square().sum(0)
        mean, squares = (t.to("cpu", torch.float64) for t in (mean, squares))
        total = self.count + len(rows)
        apart = mean - self.mean
        self._squares = self._squares + squares + apart.square() * self.count * len(rows) / total
        self.mean = self.mean + apart * len(rows) / total
        self.count = total

    @property
    def variance(self) -> Tensor:
        """Of these values, as a batch is normalised by: so nothing changes when the norms stand still again."""
        return self._squares / self.count


@contextmanager
def _gathering(norms: dict[str, _BatchNorm], moments: dict[str, _Moments]) -> Iterator[None]:
    """Within, these norms normalise by each batch's own statistics, and what enters them is counted."""

    def watch(found: _Moments) -> Any:
        return lambda _module, arguments: found.add(arguments[0])

    handles = [norm.register_forward_pre_hook(watch(moments[name])) for name, norm in norms.items()]
    for norm in norms.values():
        norm.train()
    try:
        yield
    finally:
        for handle, norm in zip(handles, norms.values(), strict=True):
            handle.remove()
            norm.eval()
