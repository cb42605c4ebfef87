"""Texts as numbers: a vocabulary from the texts to train on, and every text by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

PADDING, UNKNOWN = 0, 1
"""What stands after a text's end, and for a word or character that is not in the vocabulary."""


def numbered(
    texts: Sequence[Sequence[str]], train: npt.NDArray[np.int64], vocabulary: int, length: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Texts as numbers, int64 [n, length], and how many numbers are in use.

    Args:
        texts: each a sequence of words, or of characters; at most ``length`` of them.
        train: positions of the texts that the vocabulary is taken from, the most frequent first.
        vocabulary: how many numbers there are at most, the two special ones included.
        length: numbers a text.
    """
    counts = Counter(part for position in train.tolist() for part in texts[position])
    known = sorted(counts, key=lambda part: (-counts[part], part))[: vocabulary - 2]
    numbers = {part: number for number, part in enumerate(known, start=2)}
    inputs = np.full((len(texts), length), PADDING, dtype=np.int64)
    for row, text in enumerate(texts):
        # A text without any word is one unknown word: a model has to read something.
        found = [numbers.get(part, UNKNOWN) for part in text] or [UNKNOWN]
        inputs[row, : len(found)] = found
    return inputs, len(known) + 2


def problems_with_vocabulary(vocabulary: int) -> list[str]:
    """What is wrong with a vocabulary's size, if anything is."""
    return [] if vocabulary >= 3 else [f"vocabulary={vocabulary} must be at least 3: padding, unknown, and one more"]
