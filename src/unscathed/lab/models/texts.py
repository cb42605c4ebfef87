"""Transformers for texts: one that classifies them, and one that writes them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PADDING = 0


class TextTransformer(nn.Module):
    """A small pre-norm transformer encoder, its mean over a text's words, and a linear head.

    Args:
        classes: how many.
        vocabulary: how many words there are, padding (0) and unknown ones included.
        length: the most words a text has.
        width: dimensions of a word.
        heads: of attention; they divide the width.
        layers: how many.
        dropout: in training.

    Source: Vaswani et al. 2017, "Attention Is All You Need"; Xiong et al. 2020, "On Layer Normalization in the
    Transformer Architecture" (pre-norm).
    """

    def __init__(
        self,
        classes: int,
        vocabulary: int,
        length: int,
        *,
        width: int = 64,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embed = Embed(vocabulary, length, width)
        self.encoder = encoder(width, heads, layers, dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, words: Tensor) -> Tensor:
        """Logits [n, classes] of texts, int64 [n, length]."""
        # The first word is always read: attention to nothing at all is no number.
        padded = (words == PADDING) & (torch.arange(words.shape[1], device=words.device) > 0)
        read = self.encoder(self.embed(words), src_key_padding_mask=padded)
        there = (~padded)[:, :, None].to(read.dtype)
        logits: Tensor = self.head((read * there).sum(dim=1) / there.sum(dim=1))
        return logits


class CharacterTransformer(nn.Module):
    """A small causal transformer: at each character it says what the next one is.

    Args:
        vocabulary: how many characters there are, padding (0) and unknown ones included.
        length: the most characters a text has.
        width: dimensions of a character.
        heads: of attention; they divide the width.
        layers: how many.
        dropout: in training.

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        *,
        width: int = 64,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embed = Embed(vocabulary, length, width)
        self.encoder = encoder(width, heads, layers, dropout)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, characters: Tensor) -> Tensor:
        """Logits of each next character [n, length, vocabulary], of texts int64 [n, length] padded at their ends."""
        mask = nn.Transformer.generate_square_subsequent_mask(characters.shape[1], device=characters.device)
        logits: Tensor = self.head(self.encoder(self.embed(characters), mask=mask, is_causal=True))
        return logits


class Embed(nn.Module):
    """A vector for each number, and one for each place, added."""

    def __init__(self, vocabulary: int, length: int, width: int) -> None:
        super().__init__()
        self.numbers = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(length, width)
        for vectors in (self.numbers, self.places):
            nn.init.normal_(vectors.weight, std=0.02)

    def forward(self, numbers: Tensor) -> Tensor:
        """Vectors [n, length, width] of numbers [n, length]."""
        places = torch.arange(numbers.shape[1], device=numbers.device).expand(numbers.shape)
        vectors: Tensor = self.numbers(numbers) + self.places(places)
        return vectors


def encoder(width: int, heads: int, layers: int, dropout: float) -> nn.TransformerEncoder:
    """Pre-norm layers, four times as wide inside, and a last norm."""
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
