"""What is trained on top of frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


class Head(nn.Sequential):
    """A linear classifier of features [n, dimensions], or with ``widths`` a multilayer perceptron.

    Args:
        classes: how many.
        dimensions: of the features.
        widths: of hidden layers.
    """

    def __init__(self, classes: int, dimensions: int, widths: Sequence[int] = ()) -> None:
        sizes = [dimensions, *widths]
        hidden = [layer for i, o in pairwise(sizes) for layer in (nn.Linear(i, o), nn.ReLU())]
        super().__init__(*hidden, nn.Linear(sizes[-1], classes))
