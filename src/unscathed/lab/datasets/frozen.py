"""Frozen features: what an encoder that others trained makes of a data set's inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from unscathed.lab.datasets.dataset import Dataset
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Callback

Encoder = Callable[[Tensor], Tensor]
"""From stored inputs [n, ...] (images are uint8 [n, c, h, w]) to features [n, ...], the same for each sample
whatever else is in the batch."""


def features(
    dataset: Dataset, encoder: Encoder, *, batch_size: int = 64, callbacks: Sequence[Callback] = ()
) -> Dataset:
    """A data set whose inputs are an encoder's features of another's, float32 [n, d], under the same ids.

    Each is computed once, without gradients: what the encoder learned elsewhere stays, and only a model on top of it
    is trained and unlearned (`models.Head`). Features are standardised by the training samples' means and deviations.

    Args:
        dataset: the data set.
        encoder: what makes features of inputs.
        batch_size: inputs at once.
        callbacks: progress, one step a batch.

    Returns:
        Its facts are ``classes`` and ``dimensions`` (d).

    Raises:
        BadInputError: the encoder gives something else than one row of finite numbers a sample.
    """
    for callback in callbacks:
        callback.on_start("encoding", sum(-(-len(part) // batch_size) for part in dataset))
    encoded: list[Tensor] = []
    step = 0
    try:
        for part in dataset:
            rows = []
            for batch in part.batches(batch_size):
                rows.append(_encode(batch.inputs, encoder))
                step += 1
                for callback in callbacks:
                    callback.on_step(step)
            encoded.append(torch.cat(rows))
    finally:
        for callback in callbacks:
            callback.on_end()
    mean, deviation = encoded[0].mean(dim=0), encoded[0].std(dim=0, correction=0)
    deviation = torch.where(deviation > 0, deviation, torch.ones(()))
    samples, test = (
        Samples((rows - mean) / deviation, part.targets, part.ids, classes=part.classes)
        for rows, part in zip(encoded, dataset, strict=True)
    )
    kept: dict[str, Any] = {"classes": dataset.facts["classes"]} if "classes" in dataset.facts else {}
    return Dataset(f"{dataset.name} (features)", samples, test, {**kept, "dimensions": samples.shape[0]})


def _encode(inputs: Tensor, encoder: Encoder) -> Tensor:
    """Features [n, d] of one batch."""
    problems = Problems("cannot make features")
    with torch.no_grad():
        found = encoder(inputs)
    if problems.require(
        isinstance(found, Tensor) and found.ndim >= 2 and len(found) == len(inputs),
        f"the encoder gave {tuple(getattr(found, 'shape', ())) or type(found).__name__} for {len(inputs)} inputs; "
        "it should give a tensor with one row for each",
    ):
        found = found.float().cpu().flatten(1)
        problems.require(bool(torch.isfinite(found).all()), "the encoder gave NaN or infinite features")
    problems.raise_any()
    return found
