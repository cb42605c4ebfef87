"""Provenance: what was run, how, and what its numbers cannot tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unscathed.lab.labels import parse
from unscathed.lab.report.wording import counted, listed, span, whole
from unscathed.lab.results import Results

LABELS = {
    "command": "Command",
    "started": "Started",
    "commit": "Commit",
    "dataset": "Data set",
    "training_samples": "Training samples",
    "reserve": "Reserve",
    "test_samples": "Test samples",
    "seed": "Seeds",
    "model": "Model",
    "parameters": "Parameters",
    "recipe": "Recipe",
    "task": "Task",
    "adversaries": "Adversaries",
    "unlearners": "Unlearners",
    "healer": "Healers",
    "device": "Device",
    "precision": "Precision",
    "processor": "Processor",
    "cores": "Cores",
    "threads": "Threads",
    "accelerator": "Accelerator",
    "platform": "Platform",
    "versions": "Versions",
}


def lead(results: Results) -> str:
    """What was run in one setting, in a sentence.

    Args:
        results: what was measured.
    """
    environment, rows = results.environment, results.rows
    if not rows:
        return f"Nothing was measured on {results.dataset} yet."
    counts = (("training_samples", "to train on"), ("reserve", "held back"), ("test_samples", "to test on"))
    known = [f"{_text(environment[name])} {what}" for name, what in counts if name in environment]
    known.append(listed(row.seed for row in rows))
    adversaries, unlearners = ({getattr(row, part) for row in rows} for part in ("adversary", "unlearner"))
    sizes = span({row.forget_size for row in rows}, whole)
    return (
        f"{environment.get('model', 'A model')} was trained on {results.dataset} ({'; '.join(known)}); "
        f"{counted(adversaries, 'adversary', 'adversaries')} had {sizes} samples forgotten"
        f"{' each' if len(adversaries) > 1 else ''}, {counted(unlearners, 'unlearner')} answered, and every answer was "
        "healed, and audited against gold: the model retrained from scratch without the forgotten."
    )


def overview(every: Sequence[Results]) -> str:
    """What was run in several settings, in two sentences.

    Args:
        every: what was measured, a setting each.
    """
    rows = [row for results in every for row in results.rows]
    kinds = ("dataset", "adversary", "unlearner", "healer")
    several = {"adversary": "adversaries", "dataset": "data sets"}
    named = {"dataset": "data set"}
    sizes = [({getattr(row, kind) for row in rows} - {None}, kind) for kind in kinds]
    parts = [counted(found, named.get(kind, kind), several.get(kind)) for found, kind in sizes]
    return (
        f"{', '.join(parts[:-1])} and {parts[-1]}, each combination with {listed(row.seed for row in rows)}: "
        f"{len(every)} settings, told one after the other. Every model is audited against gold, the model retrained "
        "from scratch without the forgotten; values are means over seeds."
    )


def limits(results: Results) -> list[str]:
    """What the numbers cannot tell, a sentence each, as far as it applies to them.

    Args:
        results: what was measured.
    """
    rows = results.rows
    seeds = {row.seed for row in rows}
    adversaries = {parse(row.adversary).title for row in rows}
    said = []
    if len(seeds) > 1:
        said.append(
            f"Intervals are 95 % t intervals over {listed(seeds)}, of differences paired by seed: they hold how "
            "results vary with the split, the training and the request, as far as so few seeds tell. The audit’s own "
            "intervals are over samples, within one seed."
        )
    else:
        said.append("One seed: another would give other numbers, and one cannot tell by how much.")
    said.append(
        "The membership attack is a population attack on margins: cheap, and weaker than attacks with shadow models. "
        "That it finds nothing is no proof that the data is gone."
    )
    if any(row.stage == "gold" and row.membership_auc < 0.45 for row in rows):
        said.append(
            "A forget set of hard samples puts even gold’s membership AUC below 0.5, since a model is less sure of "
            "them than of test samples of their class; what counts is the difference from gold."
        )
    if "not enough evidence" in {outcome for row in rows for outcome in (row.whole, row.forgotten)}:
        said.append("A question mark is no pass: with more test or forgotten samples the audit may say fail.")
    if "parameter-aware" in adversaries:
        said.append(
            "The parameter-aware adversary chose with the very test samples that accuracy is measured on: it is "
            "stronger than one that has only samples of its own."
        )
    said.append(
        "Models, recipes and the unlearners’ strengths are choices of this run, listed below; other choices give other "
        "results, and this is no reproduction of a paper’s tables."
    )
    once = "measured once, on the machine named below" if len(seeds) == 1 else "on the machines named below"
    said.append(f"Seconds are wall time, {once}; work that ran beside other work took longer.")
    return said


def made(environment: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """How it was made, as labels and lines.

    Args:
        environment: of the results.
    """
    known = [name for name in LABELS if name in environment]
    further = [name for name in environment if name not in LABELS]
    labels = {name: LABELS.get(name, name.replace("_", " ").capitalize()) for name in known + further}
    lines = {name: _lines(environment[name]) for name in labels}
    return [(labels[name], lines[name]) for name in labels if lines[name]]


def _lines(value: Any) -> list[str]:
    """One line, or one for each where a mapping holds calls such as ``Fisher(floor=0.001)``."""
    if isinstance(value, Mapping):
        if all(isinstance(part, str) and part.endswith(")") for part in value.values()):
            return [str(part) for part in value.values()]
        parts = [
            f"{str(name).replace('_', ' ')} {_text(part)}" for name, part in value.items() if part not in (None, [])
        ]
        return [", ".join(parts)] if parts else []
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return value
    return [] if value is None or value == "" else [_text(value)]


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)
