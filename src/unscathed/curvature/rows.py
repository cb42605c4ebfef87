"""Linear layers and convolutions as products of matrices: a sample's gradient is ``Σ_t g_t a_tᵀ`` over its places t."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

_AT_ONCE = {"cpu": 2**20}
"""Numbers of per-sample gradients for a thread to hold at once: on CPUs about what the caches hold."""
_AT_ONCE_ELSEWHERE = 2**26


class Rows(NamedTuple):
    """What enters a layer and the gradients of what leaves it, one row a place (a pixel, a token, or the sample).

    Args:
        inputs: a, [n, t, in]; a convolution's are patches of the kernel's shape, channels last.
        gradients: g, [n, t, out].
        bias: whether a one follows each input, so that the last column of ``g aᵀ`` is the bias's gradient.
    """

    inputs: Tensor
    gradients: Tensor
    bias: bool

    def moments(self) -> tuple[Tensor, Tensor]:
        """``A = Σ a aᵀ`` [in, in] and ``S = Σ g gᵀ`` [out, out] over all places."""
        inputs, gradients = self.inputs.flatten(0, 1), self.gradients.flatten(0, 1)
        products = inputs.T @ inputs
        if self.bias:
            sums = inputs.sum(dim=0)
            count = sums.new_tensor([len(inputs)])
            products = torch.cat(
                [torch.cat([products, sums[:, None]], dim=1), torch.cat([sums, count])[None]],
            )
        return products, gradients.T @ gradients

    def squares(self, left: Tensor, right: Tensor) -> Tensor:
        """``Σ_i (leftᵀ G_i right)²`` over samples' gradients G_i, [out, in].

        Args:
            left: [out, out].
            right: [in, in], with one more for a bias.
        """
        if self.inputs.shape[1] == 1:
            # (g aᵀ)² = g² (a²)ᵀ: one product for all samples.
            rotated = (self.gradients[:, 0] @ left).square_()
            return rotated.T @ self._turned(self.inputs[:, 0], right).square_()
        total = left.new_zeros(len(left), len(right))
        each = len(left) * len(right) + self.inputs[0].numel()
        at_once = max(1, _AT_ONCE.get(left.device.type, _AT_ONCE_ELSEWHERE) // each)
        parts = torch.split(self.inputs, at_once), torch.split(self.gradients, at_once)
        for inputs, gradients in zip(*parts, strict=True):
            rotated = (gradients @ left).mT
            if inputs.shape[1] < len(left):  # fewer places than outputs: it is cheaper to turn the places
                each_one = rotated @ self._turned(inputs, right)
            else:
                each_one = rotated @ inputs
                if self.bias:
                    each_one = torch.cat([each_one, rotated.sum(dim=2, keepdim=True)], dim=2)
                each_one = each_one @ right
            total += each_one.square_().sum(dim=0)
        return total

    def _turned(self, inputs: Tensor, right: Tensor) -> Tensor:
        return inputs @ right[:-1] + right[-1] if self.bias else inputs @ right


def has_rows(layer: nn.Module) -> bool:
    """Whether a layer is such a product. Subclasses may do anything, so only the classes themselves."""
    return type(layer) is nn.Linear or (isinstance(layer, nn.Conv1d | nn.Conv2d) and _is_plain(layer))


def _is_plain(layer: nn.Conv1d | nn.Conv2d) -> bool:
    return type(layer) in (nn.Conv1d, nn.Conv2d) and layer.groups == 1


def rows_of(layer: Any, entered: Tensor, gradient: Tensor, *, bias: bool) -> Rows:
    """A layer's rows, from its input [n, ...] and the gradient of its output [n, ...]."""
    count = len(entered)
    if isinstance(layer, nn.Linear):
        return Rows(
            entered.reshape(count, -1, layer.in_features), gradient.reshape(count, -1, layer.out_features), bias
        )
    return Rows(_patches(layer, entered), gradient.flatten(2).mT, bias)


def as_matrix(layer: nn.Module, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A weight (or its gradient) in the order of rows, [out, in], the bias as one more column."""
    if not isinstance(layer, nn.Linear):
        weight = weight.movedim(1, -1).flatten(1)
    return weight if bias is None else torch.cat([weight, bias[:, None]], dim=1)


def from_matrix(layer: Any, matrix: Tensor, *, bias: bool) -> tuple[Tensor, ...]:
    """The weight, and the bias if there was one, that `as_matrix` made a matrix of."""
    weight, *last = (matrix[:, :-1], matrix[:, -1]) if bias else (matrix,)
    if not isinstance(layer, nn.Linear):
        weight = weight.reshape(layer.out_channels, *layer.kernel_size, layer.in_channels).movedim(-1, 1)
    return weight, *last


def _patches(layer: nn.Conv1d | nn.Conv2d, entered: Tensor) -> Tensor:
    """Patches [n, places, kernel · channels], from views of the padded image: copied once, in runs of channels."""
    around: list[int] = layer._reversed_padding_repeated_twice
    if any(around):
        entered = functional.pad(entered, around, "constant" if layer.padding_mode == "zeros" else layer.padding_mode)
    image = entered.movedim(1, -1).contiguous()  # no copy in channels-last
    count, *sizes, channels = image.shape
    first, *along, _ = image.stride()
    settings = list(zip(sizes, layer.kernel_size, layer.dilation, layer.stride, strict=True))
    places = [(size - apart * (kernel - 1) - 1) // step + 1 for size, kernel, apart, step in settings]
    view = image.as_strided(
        (count, *places, *layer.kernel_size, channels),
        (
            first,
            *(stride * step for stride, step in zip(along, layer.stride, strict=True)),
            *(stride * apart for stride, apart in zip(along, layer.dilation, strict=True)),
            1,
        ),
    )
    return view.reshape(count, -1, channels * math.prod(layer.kernel_size))
