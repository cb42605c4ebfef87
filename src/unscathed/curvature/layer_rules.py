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

AT_ONCE = {"cpu": 3 * 2**19}
"""Bytes for a thread to work on at once: on CPUs about what a core's cache holds."""
AT_ONCE_ELSEWHERE = 256 * 2**20
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


def with_gradient(output: Tensor) -> Tensor:
    """A layer's output, of which there will be a gradient though no parameter wants one: from the first layer on."""
    # A copy, since what follows may work in place.
    return output if output.requires_grad else output.requires_grad_().clone()


def samples_at_once(layer: nn.Module, entered: Tensor, gradient: Tensor) -> int:
    """Of how many samples the products of a layer fit where they are worked on."""
    cells = max(p.numel() for p in layer.parameters(recurse=False))
    if cells > 3 * FITS_MANY:
        cells = 0  # such products are made one at a time
    each = (3 * entered[0].numel() + gradient[0].numel() + cells) * gradient.element_size()
    if gradient.device.type not in AT_ONCE:
        return max(1, AT_ONCE_ELSEWHERE // each)
    return max(1, torch.get_num_threads() * AT_ONCE[gradient.device.type] // each)


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
    groups = layer.groups
    for products in _row_products(layer, _columns(layer, entered), gradient):
        yield "weight", products if groups == 1 else torch.unflatten(products.made(), 0, (len(entered), groups))
    if layer.bias is not None:
        yield "bias", gradient.flatten(2).sum(dim=2)


def _convolution_squares(layer: nn.Conv1d | nn.Conv2d, entered: Tensor, gradient: Tensor) -> Squares | None:
    if layer.groups > 1 or entered.device.type != "cpu":
        return None
    # As by pieces, but all samples' columns are gathered in one place, whose borders of zeros are written once.
    at_once = samples_at_once(layer, entered, gradient)
    place: Tensor | None = None
    total: list[Tensor | None] = [None] * _pair(layer.kernel_size)[0]
    for few, their in zip(torch.split(entered, at_once), torch.split(gradient, at_once), strict=True):
        columns = _columns(layer, few, place)
        place = columns if place is None else place
        total = [p.squares(t) for p, t in zip(_row_products(layer, columns, their), total, strict=True)]
    squares = {"weight": _whole_convolution(layer, [t for t in total if t is not None])}
    if layer.bias is not None:
        squares["bias"] = gradient.flatten(2).sum(dim=2).square_().sum(dim=0)
    return squares


def _columns(layer: nn.Conv1d | nn.Conv2d, entered: Tensor, place: Tensor | None = None) -> Tensor:
    """What each column of the kernel meets in each line of the padded input, [n, groups, lines, places, width, c].

    A row of the kernel at a time, this is all of a convolution's patches as one matrix; other rows start further down
    in it. So the input is copied once for each column of the kernel, not for each cell.

    Args:
        layer: the convolution.
        entered: its input.
        place: what an earlier call with as many samples, or more, returned, to be overwritten.
    """
    (_, width), (_, along), (_, apart) = _pair(layer.kernel_size), _pair(layer.stride), _pair(layer.dilation)
    left, right, top, bottom = (*layer._reversed_padding_repeated_twice, 0, 0)[:4]
    if layer.padding_mode != "zeros":
        entered = functional.pad(entered, layer._reversed_padding_repeated_twice, layer.padding_mode)
        left = right = top = bottom = 0
    image = torch.unflatten(_as_image(entered).permute(0, 2, 3, 1), 3, (layer.groups, -1)).permute(0, 3, 1, 2, 4)
    count, groups, lines, cells, channels = image.shape
    places = (cells + left + right - apart * (width - 1) - 1) // along + 1
    if place is None:
        place = image.new_zeros(count, groups, top + lines + bottom, places, width, channels)
    for column in range(width):
        shift = column * apart - left  # place p meets cell p · along + shift
        first, last = max(0, -(shift // along)), min(places, (cells - 1 - shift) // along + 1)
        if first < last:
            met = image[:, :, :, first * along + shift : (last - 1) * along + shift + 1 : along]
            place[:count, :, top : top + lines, first:last, column] = met
    return place[:count]


def _row_products(layer: nn.Conv1d | nn.Conv2d, columns: Tensor, gradient: Tensor) -> Iterator[Products]:
    """For each row of the kernel, the products that make its part of the gradients, [n · groups, ...]."""
    (height, _), (down, _), (apart, _) = _pair(layer.kernel_size), _pair(layer.stride), _pair(layer.dilation)
    image = _as_image(gradient).permute(0, 2, 3, 1)
    count, lines, places, _ = image.shape
    left = image.reshape(count, lines * places, layer.groups, -1).transpose(1, 2).flatten(0, 1)
    for row in range(height):
        first = row * apart
        under = columns[:, :, first : first + (lines - 1) * down + 1 : down]
        yield Products(left, under.reshape(count * layer.groups, lines * places, -1))


def _whole_convolution(layer: nn.Conv1d | nn.Conv2d, rows: Sequence[Tensor]) -> Tensor:
    height, width = _pair(layer.kernel_size)
    groups = layer.groups
    kernels = torch.stack(tuple(rows)).view(height, groups, layer.out_channels // groups, width, -1)
    return kernels.permute(1, 2, 4, 0, 3).reshape(layer.weight.shape)


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
_CONVOLUTION = Rule(_convolution, whole=_whole_convolution, squares=_convolution_squares)
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
