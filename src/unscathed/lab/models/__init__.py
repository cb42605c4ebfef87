"""Models: networks that train on two CPU cores, by what they read. Any ``nn.Module`` of yours does as well."""

from unscathed.lab.models.images import ColourNet, DigitNet, SmallNet

__all__ = ["ColourNet", "DigitNet", "SmallNet"]
