"""Canaries: samples under wrong labels, which a model can only know by heart."""

from __future__ import annotations

from unscathed.adversaries.poisoning import Mislabelled
from unscathed.problems import Problems
from unscathed.samples import Samples


def plant_canaries(samples: Samples, count: int, *, seed: int = 0) -> tuple[Samples, tuple[str, ...]]:
    """Give some samples wrong labels, so that forgetting can be tested where there certainly is memory.

    No other sample bears a canary out: a model that knows its label was trained on it, and has not forgotten it. A
    model that is trained briefly gets none of them right, and per-sample attacks still see that it met them. They are
    for tests of unlearners, on models that will not be served.

    Args:
        samples: with classes as targets; not changed.
        count: how many of them become canaries.
        seed: which ones, and which of the other classes each is moved to.

    Returns:
        The samples, in their order, and the ids of the canaries among them. Canaries have ids of their own
        (``7~3``: the sample ``7``, called a ``3``), since they are not the samples that they were made of.

    Raises:
        BadInputError: there are too few samples, or their targets are not classes.
    """
    problems = Problems("cannot plant canaries")
    if problems.require(0 < count < len(samples), f"count={count} must lie between 1 and {len(samples) - 1}"):
        classes = samples.targets.ndim == 1 and not samples.targets.is_floating_point()
        problems.require(classes, "the targets are not classes: there are no wrong labels")
    problems.raise_any()
    moved, chosen = Mislabelled(share=count / len(samples), seed=seed).poison(samples)
    label = dict(zip(samples.ids, moved.targets.tolist(), strict=True))
    named = set(chosen)
    name = {i: f"{i}~{label[i]}" if i in named else i for i in samples.ids}
    planted = Samples(moved.inputs, moved.targets, [name[i] for i in samples.ids], classes=samples.classes)
    return planted, tuple(name[i] for i in chosen)
