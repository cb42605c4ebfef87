"""Models for tables of numbers and categories."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class TableNet(nn.Module):
    """A multilayer perceptron over numbers and embedded categories.

    A column of c codes is embedded in ``min(600, round(1.6 c^0.56))`` dimensions.

    Args:
        classes: how many.
        categories: for each input column, the number of codes that it has, or 0 where it holds numbers.
        widths: of the hidden layers.

    Source: Guo and Berkhahn 2016, "Entity Embeddings of Categorical Variables", with fastai's rule for their sizes
    (Howard and Gugger 2020, "fastai: A Layered API for Deep Learning").
    """

    def __init__(self, classes: int, categories: Sequence[int], widths: Sequence[int] = (128, 64)) -> None:
        super().__init__()
        self.numeric = [column for column, codes in enumerate(categories) if not codes]
        self.categorical = [column for column, codes in enumerate(categories) if codes]
        dimensions = {codes: min(600, round(1.6 * codes**0.56)) for codes in categories if codes}
        self.embeddings = nn.ModuleList(nn.Embedding(codes, dimensions[codes]) for codes in categories if codes)
        sizes = [sum(dimensions[codes] if codes else 1 for codes in categories), *widths]
        hidden = [layer for i, o in pairwise(sizes) for layer in (nn.Linear(i, o), nn.ReLU())]
        self.body = nn.Sequential(*hidden)
        self.head = nn.Linear(sizes[-1], classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [n, classes] of rows, float32 [n, columns]; categories are codes, as floats too."""
        parts = [inputs[:, self.numeric]]
        for column, embedding in zip(self.categorical, self.embeddings, strict=True):
            parts.append(embedding(inputs[:, column].long()))
        logits: Tensor = self.head(self.body(torch.cat(parts, dim=1)))
        return logits
