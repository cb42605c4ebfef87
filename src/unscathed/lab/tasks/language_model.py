"""Language modelling: what comes next in a text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from unscathed.samples import Batch, Samples
from unscathed.task import FeatureSource, Task, majority_vote, mean_probability

PADDING = 0


class LanguageModel(Task):
    """Predict each character (or word) of a text from those before it; the first one is given.

    A sample is a text, int64 [length], padded with 0 at its end; it needs no target. The loss is the mean
    cross-entropy of its predicted characters, in nats a character; the score their log-likelihood, in bits a character
    (the negative of "bits per character").

    Args:
        model: a function (or an ``nn.Module`` class) that builds the model; it maps texts [n, length] to logits of
            what comes next [n, length, vocabulary], causally.
        vocabulary: how many characters there are, padding included.
        features: see `Task`; by default what enters the last linear layer, averaged over the text.
    """

    def __init__(self, model: Callable[[], nn.Module], vocabulary: int, *, features: FeatureSource = None) -> None:
        super().__init__(features=features)
        self.model = model
        self.vocabulary = vocabulary
        self.score_range = math.log2(vocabulary)  # what a model scores less that gives every character even odds

    def build(self) -> nn.Module:
        """A new model."""
        return self.model()

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The mean cross-entropy of the characters after the first, [n], nats a character."""
        following = batch.inputs[:, 1:]
        surprise = functional.cross_entropy(outputs[:, :-1].transpose(1, 2), following, reduction="none")
        return _mean_over_text(surprise, following)

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The log-likelihood, [n], bits a character."""
        return -self.losses(outputs, batch) / math.log(2)

    def divergences(self, reference: Tensor, outputs: Tensor, batch: Batch) -> Tensor:
        """``KL(reference ‖ outputs)`` of the predicted distributions, [n], nats a character."""
        moved = functional.kl_div(
            outputs[:, :-1].log_softmax(-1), reference[:, :-1].log_softmax(-1), log_target=True, reduction="none"
        )
        return _mean_over_text(moved.sum(dim=-1), batch.inputs[:, 1:])

    def aggregate(self, outputs: Sequence[Tensor]) -> Tensor:
        """The log of the mean predicted probability (it serves as logits)."""
        return mean_probability(outputs)

    def vote(self, outputs: Sequence[Tensor]) -> Tensor:
        """Each place's votes for the next character (they serve as logits); see `majority_vote`."""
        return majority_vote(outputs)

    def features(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's features of a text, [n, d]; see `Task.features`."""
        found = super().features(model, batch)
        if self.feature_source is not None:
            return found
        places = found.view(*batch.inputs.shape, -1)
        there = (batch.inputs != PADDING)[:, :, None].to(places.dtype)
        return (places * there).sum(dim=1) / there.sum(dim=1).clamp_min(1)

    def problems_with(self, samples: Samples) -> list[str]:
        """Inputs that are no texts by number."""
        if len(samples.shape) != 1 or samples.shape[0] < 2 or samples.dtype.is_floating_point:
            shape = f"{tuple(samples.shape)} {str(samples.dtype).removeprefix('torch.')}"
            return [f"inputs are {shape}; a text is a row of at least 2 integers"]
        lowest, highest = (int(v) for v in torch.aminmax(samples.inputs))
        if lowest < 0 or highest >= self.vocabulary:
            wanted = f"with vocabulary={self.vocabulary} they must lie in 0…{self.vocabulary - 1}"
            return [f"inputs lie in {lowest}…{highest}; {wanted}"]
        return []

    def signature(self) -> dict[str, Any]:
        """What this task is; see `Task.signature`."""
        return {**super().signature(), "vocabulary": self.vocabulary}


def _mean_over_text(values: Tensor, characters: Tensor) -> Tensor:
    """The mean of values [n, length] where there are characters, [n]; 0 where there are none."""
    there = (characters != PADDING).to(values.dtype)
    return (values * there).sum(dim=1) / there.sum(dim=1).clamp_min(1)
