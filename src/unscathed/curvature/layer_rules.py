"""Layer rules: each sample's own gradient of a layer's parameters, from what entered it and the gradient of what left.

A rule gives these gradients in pieces, each of which fits a product of the layer, so that a convolution's patches are
never written out; `Rule.whole` puts pieces (without the samples' dimension) together again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

FITS_MANY = 2**15
"""Elements of a product of which many are best made at once (measured on CPUs): small ones, side by side."""


class Products(NamedTuple):
    """Each sample's gradient as a product that is not made yet, ``leftᵀ right``.

    Args:
        left: [n, l, a].
        right: [n, l, b].
    """

    left: Tensor
    right: Tensor

    def made(self) -> Tensor:
        """The products, [n, a, b]."""
        return torch.bmm(self.left.mT, self.right)

    def squares(self, total: Tensor | None = None) -> Tensor:
        """Their squares, summed over samples, [a, b].

        Args:
            total: what they are added to, in place.
        """
        a, b = self.left.shape[2], self.right.shape[2]
        if self.left.device.type != "cpu" or a * b < FITS_MANY:
            squares = self.made().square_().sum(dim=0)
            return squares if total is None else total.add_(squares)
        # One at a time into one buffer, which stays in the cache beside the sum, and so is read and written only once.
        total = self.left.new_zeros(a, b) if total is None else total
        buffer = self.left.new_empty(a, b)
        for left, right in zip(self.left.unbind(), self.right.unbind(), strict=True):
            torch.mm(left.T, right, out=buffer)
            total.addcmul_(buffer, buffer)
        return total


Pieces = Iterator[tuple[str, Tensor | Products]]
"""Parameter names, with a piece of each sample's gradient, [n, ...]; several pieces may have one name."""
Squares = dict[str, Tensor]


def _always(layer: nn.Module) -> bool:
    return True


def _weight_is_one_piece(layer: nn.Module, pieces: Sequence[Tensor]) -> Tensor:
    (piece,) = pieces
    return piece


def _no_shortcut(layer: nn.Module, entered: Tensor, gradient: Tensor) -> Squares | None:
    return None


class Rule(NamedTuple):
    """How one kind of layer makes per-sample gradients.

    Args:
        pieces: from the layer, its input [n, ...] and the gradient of its output [n, ...].
        holds: whether the rule holds for a layer with these settings.
        whole: from the layer and the pieces of its weight, in order and without the n, the weight's tensor.
        squares: as ``pieces``, but their squares summed over samples and whole, where there is a shorter way to them.
    """

    pieces: Callable[[Any, Tensor, Tensor], Pieces]
    holds: Callable[[Any], bool] = _always
    whole: Callable[[Any, Sequence[Tensor]], Tensor] = _weight_is_one_piece
    squares: Callable[[Any, Tensor, Tensor], Squares | None] = _no_shortcut


def rule_of(layer: nn.Module) -> Rule | None:
    """The rule for a layer; None where there is none. Subclasses may do anything, so only the classes themselves."""
    rule = _RULES.get(type(layer))
    return rule if rule is not None and rule.holds(layer) else None


def _linear(layer: nn.Linear, entered: Tensor, gradient: Tensor) -> Pieces:
    count = len(entered)
    entered = entered.reshape(count, -1, layer.in_features)
    gradient = gradient.reshape(count, -1, layer.out_features)
    yield "weight", Products(gradient, entered)
    yield "bias", gradient.sum(dim=1)


def _linear_squares(layer: nn.Linear, entered: Tensor, gradient: Tensor) -> Squares | None:
    if entered.ndim > 2:
        return None
    # (g aᵀ)² = g² (a²)ᵀ: one product for all samples.
    squares = gradient.square()
    return {"weight": squares.T @ entered.square(), "bias": squares.sum(dim=0)}


def _embedding(layer: nn.Embedding, entered: Tensor, gradient: Tensor) -> Pieces:
    indices, gradient = _looked_up(layer, entered, gradient)
    rows = gradient.new_zeros(len(indices), layer.num_embeddings, layer.embedding_dim)
    yield "weight", rows.scatter_add_(1, indices[:, :, None].expand_as(gradient), gradient)


def _embedding_squares(layer: nn.Embedding, entered: Tensor, gradient: Tensor) -> Squares:
    # Only rows that a sample looked up have a gradient; equal ones of one sample are added before they are squared.
    indices, gradient = _looked_up(layer, entered, gradient)
    owners = torch.arange(len(indices), device=indices.device)[:, None] * layer.num_embeddings
    found, place = torch.unique(owners + indices, return_inverse=True)
    rows = gradient.new_zeros(len(found), layer.embedding_dim).index_add_(0, place.flatten(), gradient.flatten(0, 1))
    squares = torch.zeros_like(layer.weight)
    return {"weight": squares.index_add_(0, found % layer.num_embeddings, rows.square_())}


def _looked_up(layer: nn.Embedding, entered: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Indices [n, k] and their rows' gradients [n, k, d]; padding has none."""
    indices = entered.reshape(len(entered), -1)
    gradient = gradient.reshape(*indices.shape, layer.embedding_dim)
    if layer.padding_idx is not None:
        gradient = gradient * (indices != layer.padding_idx)[:, :, None]
    return indices, gradient


def _convolution(layer: nn.Conv1d | nn.Conv2d, entered: Tensor, gradient: Tensor) -> Pieces:
    # A row of the kernel at a time: the input's columns, gathered for all places of that row, are one matrix, and
    # other rows start further down in it. So the input is copied once for each column of the kernel, not for each cell.
    height, width = _pair(layer.kernel_size)
    (down, along), (apart_down, apart_along) = _pair(layer.stride), _pair(layer.dilation)
    count, groups = len(entered), layer.groups
    entered, gradient = _as_image(_padded(layer, entered)), _as_image(gradient)
    rows, columns = gradient.shape[2:]

    image = entered.permute(0, 2, 3, 1).contiguous()  # no copy in channels-last
    channels = image.shape[3] // groups
    samples, lines, places, _ = image.stride()
    gathered = (
        image.as_strided(
            (count, image.shape[1], columns, width, groups, channels),
            (samples, lines, along * places, apart_along * places, channels, 1),
        )
        .permute(0, 4, 1, 2, 3, 5)
        .reshape(count * groups, image.shape[1], columns, width * channels)
    )
    gradient = gradient.permute(0, 2, 3, 1).reshape(count, rows * columns, groups, -1)
    gradient = gradient.transpose(1, 2).reshape(count * groups, rows * columns, -1)
    for row in range(height):
        first = row * apart_down
        under = gathered[:, first : first + (rows - 1) * down + 1 : down]
        products = Products(gradient, under.reshape(count * groups, rows * columns, -1))
        yield "weight", products if groups == 1 else products.made().view(count, groups, -1, width * channels)
    if layer.bias is not None:
        yield "bias", gradient.sum(dim=1).view(count, -1)


def _whole_convolution(layer: nn.Conv1d | nn.Conv2d, rows: Sequence[Tensor]) -> Tensor:
    height, width = _pair(layer.kernel_size)
    groups = layer.groups
    kernels = torch.stack(tuple(rows)).view(height, groups, layer.out_channels // groups, width, -1)
    return kernels.permute(1, 2, 4, 0, 3).reshape(layer.weight.shape)


def _padded(layer: nn.Conv1d | nn.Conv2d, entered: Tensor) -> Tensor:
    around: list[int] = layer._reversed_padding_repeated_twice
    if not any(around):
        return entered
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return functional.pad(entered, around, mode)


def _pair(setting: Any) -> tuple[int, int]:
    return (1, setting[0]) if len(setting) == 1 else setting


def _as_image(values: Tensor) -> Tensor:
    return values[:, :, None] if values.ndim == 3 else values


def _batch_norm(layer: nn.modules.batchnorm._BatchNorm, entered: Tensor, gradient: Tensor) -> Pieces:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    sums = _over_places(gradient)
    # Σ g (x - μ)/σ; the mean is taken out afterwards, which saves a pass over the places.
    yield (
        "weight",
        (_over_places(entered * gradient) - layer.running_mean * sums) / (layer.running_var + layer.eps).sqrt(),
    )
    yield "bias", sums


def _group_norm(layer: nn.GroupNorm, entered: Tensor, gradient: Tensor) -> Pieces:
    yield "weight", _over_places(functional.group_norm(entered, layer.num_groups, eps=layer.eps) * gradient)
    yield "bias", _over_places(gradient)


def _layer_norm(layer: nn.LayerNorm, entered: Tensor, gradient: Tensor) -> Pieces:
    normalised = functional.layer_norm(entered, layer.normalized_shape, eps=layer.eps)
    shape = (len(entered), -1, *layer.normalized_shape)
    yield "weight", (normalised * gradient).reshape(shape).sum(dim=1)
    yield "bias", gradient.reshape(shape).sum(dim=1)


def _over_places(values: Tensor) -> Tensor:
    """Sums over all but samples and channels, [n, c]; never a view, since pieces are squared in place."""
    places = list(range(2, values.ndim))
    return values.sum(dim=places) if places else values.clone()


_BATCH_NORM = Rule(_batch_norm, holds=lambda layer: layer.track_running_stats)
_CONVOLUTION = Rule(_convolution, whole=_whole_convolution)
_EMBEDDING = Rule(
    _embedding,
    holds=lambda layer: layer.max_norm is None and not layer.scale_grad_by_freq and not layer.sparse,
    squares=_embedding_squares,
)
_RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: Rule(_linear, squares=_linear_squares),
    nn.Embedding: _EMBEDDING,
    nn.Conv1d: _CONVOLUTION,
    nn.Conv2d: _CONVOLUTION,
    nn.BatchNorm1d: _BATCH_NORM,
    nn.BatchNorm2d: _BATCH_NORM,
    nn.GroupNorm: Rule(_group_norm),
    nn.LayerNorm: Rule(_layer_norm),
}
