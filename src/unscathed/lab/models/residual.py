"""ResNet18: the residual network that unlearning papers report on, for images of 32 pixels."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, outputs, h / stride, w / stride] from [n, inputs, h, w]."""
        hidden = functional.relu(self.first_norm(self.first(inputs)))
        return functional.relu(self.second_norm(self.second(hidden)) + self.shortcut(inputs))


class ResNet18(nn.Sequential):
    """ResNet-18 with a 3x3 stem and no pooling before the blocks; 11.17 M parameters, images [n, channels, h, w].

    Args:
        classes: the number of classes.
        channels: of the images.

    Source: He et al. 2016, "Deep Residual Learning for Image Recognition", table 1; the stem is section 4.2's.
    """

    def __init__(self, classes: int = 10, channels: int = 3) -> None:
        widths = (64, 128, 256, 512)
        stages = [
            nn.Sequential(ResidualBlock(inputs, outputs, stride), ResidualBlock(outputs, outputs))
            for inputs, outputs, stride in zip((64, *widths), widths, (1, 2, 2, 2), strict=False)
        ]
        super().__init__(
            nn.Conv2d(channels, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            *stages,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(512, classes),
        )
