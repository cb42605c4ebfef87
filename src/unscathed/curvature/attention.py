"""Self-attention out of plain linear layers, so that layer rules see what enters and leaves its projections."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class NoRuleError(Exception):
    """A layer is run in a way that no rule holds for; never leaves this room."""


class SelfAttention(nn.Module):
    """Computes what an ``nn.MultiheadAttention`` computes in evaluation mode, with its own parameters.

    Args:
        attention: the layer; its parameters are shared, not copied.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads = attention.num_heads
        self.batch_first = attention.batch_first  # asked for by nn.TransformerEncoder
        self.projections = _linear(attention.in_proj_weight, attention.in_proj_bias)
        self.output = _linear(attention.out_proj.weight, attention.out_proj.bias)

    @staticmethod
    def suits(attention: nn.Module) -> bool:
        """Whether a layer is an attention whose query, key and value are projected by one matrix."""
        return (
            type(attention) is nn.MultiheadAttention
            and attention._qkv_same_embed_dim
            and attention.bias_k is None
            and not attention.add_zero_attn
        )

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """The attended values [n, length, width], and the weights; arguments as ``nn.MultiheadAttention``'s.

        Raises:
            NoRuleError: it attends to something else than itself, or the first dimension is not the samples.
        """
        if query is not key or key is not value or not self.batch_first or query.ndim != 3:
            raise NoRuleError
        count, length, width = query.shape
        split = self.projections(query).view(count, length, 3, self.heads, width // self.heads)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        scores = queries @ keys.mT * (width // self.heads) ** -0.5
        if attn_mask is not None:
            mask = attn_mask if attn_mask.ndim == 2 else attn_mask.view(count, self.heads, length, length)
            scores = scores + _additive(mask, scores)
        if key_padding_mask is not None:
            scores = scores + _additive(key_padding_mask, scores)[:, None, None, :]
        weights = scores.softmax(dim=-1)
        attended = (weights @ values).transpose(1, 2).reshape(count, length, width)
        return self.output(attended), weights.mean(dim=1) if average_attn_weights else weights


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=bias is not None, device="meta")
    layer.out_features, layer.in_features = weight.shape
    layer.register_parameter("weight", cast(nn.Parameter, weight))
    layer.register_parameter("bias", cast(nn.Parameter | None, bias))
    return layer


def _additive(mask: Tensor, scores: Tensor) -> Tensor:
    """A mask to add to scores: bool ones forbid where they are True."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(mask, float("-inf"))
