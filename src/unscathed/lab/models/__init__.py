"""Models: networks that train on two CPU cores, by what they read. Any ``nn.Module`` of yours does as well."""

from unscathed.lab.models.fast import FastNet
from unscathed.lab.models.images import ColourNet, DigitNet, SmallNet
from unscathed.lab.models.residual import ResNet18

__all__ = ["ColourNet", "DigitNet", "FastNet", "ResNet18", "SmallNet"]
