"""Models: small networks that train in seconds to minutes on two CPU cores."""

from __future__ import annotations

from torch import Tensor, nn


class DigitNet(nn.Sequential):
    """A multilayer perceptron for 8×8 digits; 17 k parameters, images [n, 1, 8, 8]."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(64, 128),
            nn.ReLU(),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, classes),
        )


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3×3 convolution, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class SmallNet(nn.Module):
    """A convolutional network for grey 28×28 images; 58 k parameters."""

    def __init__(self, classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(channels, 16),
            nn.MaxPool2d(2),
            convolution(16, 32),
            nn.MaxPool2d(2),
            convolution(32, 64),
            nn.AdaptiveMaxPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, channels, h, w]."""
        logits: Tensor = self.head(self.body(inputs))
        return logits


class ColourNet(nn.Module):
    """A convolutional network for colour images of 32 pixels and more; 0.28 M parameters.

    The first layer stays narrow, since on CPUs a convolution over three channels runs far below the machine's rate;
    the width is where the image is small.
    """

    def __init__(self, classes: int = 10, widths: tuple[int, int, int, int] = (16, 32, 64, 128)) -> None:
        super().__init__()
        first, second, third, last = widths
        self.body = nn.Sequential(
            convolution(3, first),
            convolution(first, second),
            nn.MaxPool2d(2),
            convolution(second, third),
            convolution(third, third),
            nn.MaxPool2d(2),
            convolution(third, last),
            convolution(last, last),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(last, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, 3, h, w]."""
        logits: Tensor = self.head(self.body(inputs))
        return logits
