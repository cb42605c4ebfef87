"""Models: networks that train on two CPU cores, by what they read. Any ``nn.Module`` of yours does as well."""

from unscathed.lab.models.autoencoders import DenseAutoencoder
from unscathed.lab.models.fast import FastNet
from unscathed.lab.models.frozen import Head
from unscathed.lab.models.images import ColourNet, DigitNet, SmallNet
from unscathed.lab.models.residual import ResNet18
from unscathed.lab.models.tables import TableNet
from unscathed.lab.models.texts import CharacterTransformer, TextTransformer

__all__ = [
    "CharacterTransformer",
    "ColourNet",
    "DenseAutoencoder",
    "DigitNet",
    "FastNet",
    "Head",
    "ResNet18",
    "SmallNet",
    "TableNet",
    "TextTransformer",
]
