"""FastNet: a convolutional network for colour images of 32 pixels that learns CIFAR-10 in minutes on two CPU cores.

What to train it with on CIFAR-10, by the minutes at hand on two cores that multiply bfloat16:

    Recipe(epochs=..., batch_size=512, optimizer="muon", learning_rate=0.024, momentum=0.6, weight_decay=0.3,
           augment=(Flip(), Shift(2)))

    3 minutes: widths (32, 128, 128), 10 epochs     20 minutes: widths (64, 256, 256), 20 epochs
    5 minutes: widths (48, 192, 192), 10 epochs     40 minutes: widths (128, 384, 384), 20 epochs

By ``benchmarks/cifar10.py`` (one seed, two cores of a Xeon with AMX) the 5-minute plan has 92.1 % of the test images
right after 4.0 minutes, the 20-minute plan 93.1 % after 14.4, the 40-minute plan 93.8 % after 74 processor minutes.
After 4 epochs of 45,000 images the narrowest has 88.3 % right (one seed), where ``optimizer="sgd", learning_rate=0.75,
momentum=0.85, weight_decay=1.3e-3`` gives 87.0 %, and 90.3 % after 10.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Neighbouring pixels of natural images vary along four Haar patterns times three opponent colours; these are the
# eigenvectors of 2x2 patches but for a few degrees. Variances are CIFAR-10's, of inputs normalised by channel.
_PATTERNS = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2  # flat, |, -, checkered
_COLOURS = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / torch.tensor([[3], [2], [6]]).sqrt()  # grey, r-b, m-g
_VARIANCES = torch.tensor([[10.107, 0.826, 0.181], [0.333, 0.014, 0.004], [0.396, 0.016, 0.005], [0.056, 0.002, 0.001]])


class FastNet(nn.Module):
    """A convolutional network for colour images of 32 pixels (normalised by channel); 0.5 M parameters by default.

    The first layer whitens 2x2 patches and is not trained, so no gradient is ever made at full size, where on a CPU
    most of the time would go. Each block then pools before it normalises, and starts close to the identity.

    Args:
        classes: the number of classes.
        widths: channels of the three blocks; ``(64, 256, 256)`` for more than some minutes.
        scale: what logits are multiplied by, so that training starts from unsure answers.

    Source: Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", section 3.
    """

    def __init__(
        self, classes: int = 10, widths: tuple[int, int, int] = (32, 128, 128), *, scale: float = 1 / 9
    ) -> None:
        super().__init__()
        self.whiten = Whiten()
        channels = (len(self.whiten.kernels), *widths)
        self.body = nn.Sequential(
            nn.SiLU(),
            *(block(*pair) for pair in zip(channels[:-1], widths, strict=True)),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(widths[-1], classes, bias=False)
        self.scale = scale

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, 3, h, w]."""
        logits: Tensor = self.head(self.body(self.whiten(inputs)))
        return logits * self.scale


class Whiten(nn.Module):
    """Responses [n, 24, h-1, w-1] of images [n, 3, h, w] to the patterns of natural 2x2 patches, and their negatives.

    The responses have variance 1 and are nearly uncorrelated. Nothing here is trained.
    """

    kernels: Tensor

    def __init__(self) -> None:
        super().__init__()
        kernels = torch.einsum("pk,cd,pc->pcdk", _PATTERNS, _COLOURS, (_VARIANCES + 5e-4).rsqrt()).reshape(12, 3, 2, 2)
        self.register_buffer("kernels", torch.cat([kernels, -kernels]))

    def forward(self, inputs: Tensor) -> Tensor:
        """The responses."""
        return nn.functional.conv2d(inputs, self.kernels)


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions that start as the identity on their first channels; the first halves the image."""
    return nn.Sequential(
        _convolution(inputs, outputs),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(outputs, momentum=0.4),
        nn.SiLU(),
        _convolution(outputs, outputs),
        nn.BatchNorm2d(outputs, momentum=0.4),
        nn.SiLU(),
    )


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(layer.weight[: min(inputs, outputs)])
    return layer
