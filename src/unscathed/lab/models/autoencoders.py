"""Autoencoders: an image to a distribution of codes, and a code to an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class DenseAutoencoder(nn.Module):
    """A variational autoencoder of multilayer perceptrons, for small images.

    Args:
        shape: of an image, (channels, height, width).
        latent: dimensions of a code.
        widths: of the encoder's hidden layers; the decoder's are the same in reverse.

    Source: Kingma and Welling 2014, "Auto-Encoding Variational Bayes", appendix C.
    """

    def __init__(self, shape: Sequence[int], latent: int = 8, widths: Sequence[int] = (256,)) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.latent = latent
        pixels = math.prod(shape)
        self.encoder = _perceptron([pixels, *widths, 2 * latent])
        self.decoder = _perceptron([latent, *reversed(widths), pixels])

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances of codes, each [n, latent], of images [n, channels, h, w] in [0, 1]."""
        mean, log_variance = self.encoder(images.flatten(1)).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, codes: Tensor) -> Tensor:
        """Logits of pixels [..., channels, h, w] of codes [..., latent]."""
        logits: Tensor = self.decoder(codes)
        return logits.view(*codes.shape[:-1], *self.shape)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the pixels [n, channels, h, w] that the images' mean codes stand for."""
        return self.decode(self.encode(images)[0])


def _perceptron(sizes: Sequence[int]) -> nn.Sequential:
    layers = [layer for i, o in pairwise(sizes) for layer in (nn.Linear(i, o), nn.ReLU())]
    return nn.Sequential(*layers[:-1])
