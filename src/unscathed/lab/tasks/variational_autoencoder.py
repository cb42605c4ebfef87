"""Variational autoencoding: a model that images can be drawn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unscathed.lab.tasks.judge import Judge
from unscathed.problems import BadInputError
from unscathed.samples import Batch, Samples
from unscathed.task import FeatureSource, Task
from unscathed.training.seeds import generator


class Autoencoder(Protocol):
    """What a model must have."""

    latent: int
    """Dimensions of a code."""

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances of codes, each [n, latent], of images [n, ...]."""

    def decode(self, codes: Tensor) -> Tensor:
        """Logits of pixels [..., channels, h, w] of codes [..., latent]."""


class VariationalAutoencoder(Task):
    """Learn to draw images like the samples: the loss is the negative evidence lower bound, in nats an image.

    Grey values are taken for the probabilities of black and white pixels, so that the bound is the expected one on the
    log-likelihood of images binarised at random. It is an expectation over codes: training draws one code an image,
    anew each time; in evaluation, the codes come from the same few fixed draws of noise for every image, so that a
    model's losses repeat themselves and have derivatives. The score is the bound in nats a pixel. It needs no targets;
    where samples have classes, `quality` uses them.

    Outputs are one tensor [n, models, draws, pixels + 2 latent]: for each code drawn the logits of the pixels, then the
    code's mean and log-variance. The loss is convex in them for a single model.

    Args:
        model: a function (or an ``nn.Module`` class) that builds the model; it encodes and decodes (`Autoencoder`).
        draws: codes an image in evaluation, an even number.
        generated: images that `quality` judges.
        features: see `Task`; by default the code's mean.

    Source: Kingma and Welling 2014, "Auto-Encoding Variational Bayes".
    """

    score_range = math.log(2)
    """A model that gives every pixel even odds scores -log 2."""

    def __init__(
        self,
        model: Callable[[], nn.Module],
        *,
        draws: int = 4,
        generated: int = 1000,
        features: FeatureSource = None,
    ) -> None:
        super().__init__(features=features if features is not None else mean_code)
        if draws < 2 or draws % 2:
            raise BadInputError("cannot use this task", [f"draws={draws} must be an even number of at least 2"])
        self.model = model
        self.draws = draws
        self.generated = generated

    def build(self) -> nn.Module:
        """A new model."""
        return self.model()

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """Logits of pixels, and codes, [n, 1, draws, pixels + 2 latent]."""
        autoencoder = cast(Autoencoder, model)
        mean, log_variance = autoencoder.encode(batch.inputs)
        noise = torch.randn_like(mean)[:, None] if model.training else self._noise(mean)
        codes = mean[:, None] + (log_variance / 2).exp()[:, None] * noise
        pixels = autoencoder.decode(codes).flatten(2)
        beside = torch.cat([mean, log_variance], dim=1)[:, None].expand(-1, pixels.shape[1], -1)
        return torch.cat([pixels, beside], dim=2)[:, None]

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The negative evidence lower bound, [n], nats an image; of several models, of their mixture."""
        images = batch.inputs.flatten(1)[:, None, None]
        logits, mean, log_variance = _parts(outputs, images.shape[-1])
        drawn = (functional.softplus(logits) - images * logits).sum(dim=-1)
        coded = (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=-1) / 2
        bounds = -(drawn + coded).mean(dim=2)
        return math.log(bounds.shape[1]) - bounds.logsumexp(dim=1)

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The evidence lower bound, [n], nats a pixel."""
        return -self.losses(outputs, batch) / batch.inputs[0].numel()

    def divergences(self, reference: Tensor, outputs: Tensor, batch: Batch) -> Tensor:
        """``KL(reference ‖ outputs)`` of the code, and of the pixels drawn with the same noise, [n], nats an image."""
        (ours, mean, log_variance), (theirs, their_mean, their_log_variance) = (
            _parts(part, batch.inputs[0].numel()) for part in (outputs, reference)
        )
        moved = theirs.sigmoid() * (theirs - ours) - functional.softplus(theirs) + functional.softplus(ours)
        shift = (their_log_variance.exp() + (their_mean - mean).square()) / log_variance.exp()
        recoded = (shift - 1 + log_variance - their_log_variance).sum(dim=-1) / 2
        return (moved.sum(dim=-1) + recoded).mean(dim=(1, 2))

    def aggregate(self, outputs: Sequence[Tensor]) -> Tensor:
        """All of them side by side: the loss is that of a mixture, whose bound is at least the models' mean bound."""
        return torch.cat(list(outputs), dim=1)

    def generate(self, model: nn.Module, count: int, seed: int) -> Tensor:
        """So many images drawn from a model, float [count, channels, h, w]: the pixels' probabilities.

        Args:
            model: in evaluation mode.
            count: how many.
            seed: of the codes.
        """
        autoencoder = cast(Autoencoder, model)
        place = next(model.parameters())
        codes = torch.randn(count, autoencoder.latent, generator=generator(seed, "generation")).to(place)
        with torch.no_grad():
            return autoencoder.decode(codes).sigmoid()

    def quality(self, model: nn.Module, samples: Samples, seed: int) -> dict[str, float]:
        """What a classifier of the samples makes of generated images (see `Judge`); nothing without classes."""
        if samples.targets.ndim != 1 or samples.targets.is_floating_point():
            return {}
        if samples not in self._judges:
            batch = self.prepare(Batch(samples.inputs, samples.targets))
            self._judges[samples] = Judge(batch.inputs.flatten(1).numpy(), batch.targets.numpy())
        images = self.generate(model, self.generated, seed)
        return self._judges[samples].judge(images.flatten(1).cpu().numpy())

    def problems_with(self, samples: Samples) -> list[str]:
        """Inputs that are no grey values."""
        if samples.dtype == torch.uint8:
            return []
        lowest, highest = (float(v) for v in torch.aminmax(samples.inputs))
        if samples.dtype.is_floating_point and lowest >= 0 and highest <= 1:
            return []
        return [f"inputs are {samples.dtype} in {lowest:g}…{highest:g}; give images as uint8, or as floats in 0…1"]

    def signature(self) -> dict[str, Any]:
        """What this task is; see `Task.signature`."""
        return {**super().signature(), "draws": self.draws}

    def _noise(self, like: Tensor) -> Tensor:
        """Fixed noise [1, draws, latent], with mean 0 and variance 1 in each dimension, so that few draws do."""
        half = np.random.default_rng(0).standard_normal((1, self.draws // 2, like.shape[1]))
        half /= np.sqrt(np.square(half).mean(axis=1, keepdims=True))
        return torch.from_numpy(np.concatenate([half, -half], axis=1)).to(like)

    @cached_property
    def _judges(self) -> WeakKeyDictionary[Samples, Judge]:
        # One judge for all models, or their numbers could not be compared.
        return WeakKeyDictionary()


def mean_code(model: nn.Module, images: Tensor) -> Tensor:
    """The means of images' codes, [n, latent]."""
    return cast(Autoencoder, model).encode(images)[0]


def _parts(outputs: Tensor, pixels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of pixels, means and log-variances, out of outputs [n, models, draws, pixels + 2 latent]."""
    latent = (outputs.shape[-1] - pixels) // 2
    return outputs[..., :pixels], outputs[..., pixels:-latent], outputs[..., -latent:]
