"""Task: the one thing that a user writes.

A task says how to build a model and what its loss is. Everything else has a default, and everything that trains,
unlearns, heals, attacks or audits works through these methods alone.
"""

from __future__ import annotations

import copy
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unscathed.problems import BadInputError, some
from unscathed.samples import Batch, Samples

FeatureSource = str | Callable[[nn.Module, Tensor], Tensor] | None


class Task(ABC):
    """What a model is for: how to build it, its loss on each sample, and, optionally, more.

    Args:
        features: where a model's features are found: the name of a layer (its output is taken), a function
            ``(model, inputs) -> [n, d]``, or None for what enters the last linear layer.
    """

    scores_are_shares: ClassVar[bool] = False
    """Whether scores are right (1) or wrong (0), so that their mean is shown in percent."""

    score_range: float = 1.0
    """How far the scores of a model that knows nothing lie below the best: audits tolerate shares of it."""

    def __init__(self, *, features: FeatureSource = None) -> None:
        self.feature_source = features

    @abstractmethod
    def build(self) -> nn.Module:
        """A new model with fresh weights, drawn from torch's global random state."""

    @abstractmethod
    def losses(self, outputs: Any, batch: Batch) -> Tensor:
        """The training loss of each sample, [n], from the model's outputs."""

    def outputs(self, model: nn.Module, batch: Batch) -> Any:
        """What the model says of a prepared batch; by default ``model(batch.inputs)``."""
        return model(batch.inputs)

    def scores(self, outputs: Any, batch: Batch) -> Tensor:
        """How good each output is, [n], higher is better; by default the negative loss."""
        return -self.losses(outputs, batch)

    def margins(self, outputs: Any, batch: Batch) -> Tensor:
        """How sure the model is of each sample, [n], for membership tests; by default the negative loss."""
        return -self.losses(outputs, batch)

    def divergences(self, reference: Any, outputs: Any, batch: Batch) -> Tensor:
        """How far outputs moved from reference outputs, [n], nats; by default the rise of the loss, at least 0."""
        return (self.losses(outputs, batch) - self.losses(reference, batch)).clamp_min(0)

    def answers(self, outputs: Any, batch: Batch) -> list[tuple[Tensor, Tensor]] | None:
        """The targets that a model finds possible, as ``(probability [n], targets [n, ...])`` of each; None if unnamed.

        The true Fisher information is the mean over them. They need only share the mean of squared gradients with the
        distribution that the loss is the negative logarithm of (a Gaussian's: the mean, one deviation up and down).
        """
        return None

    def aggregate(self, outputs: Sequence[Any]) -> Any:
        """One output from several models' (SISA's shards); by default their mean."""
        return torch.stack(list(outputs)).mean(dim=0)

    def vote(self, outputs: Sequence[Any]) -> Any:
        """One output from several models' by majority; only tasks that predict classes can (`majority_vote`).

        Raises:
            BadInputError: this task has no classes to vote on.
        """
        raise BadInputError("cannot vote", [f"{type(self).__name__} predicts no classes; aggregate by 'mean'"])

    @property
    def can_vote(self) -> bool:
        """Whether models of this task can be aggregated by `vote`."""
        return type(self).vote is not Task.vote

    def quality(self, model: nn.Module, samples: Samples, seed: int) -> dict[str, float]:
        """Measures of a whole model that are no mean over samples, by name (how good are the images that it draws?).

        Args:
            model: in evaluation mode.
            samples: real ones to compare with.
            seed: of what is drawn at random.
        """
        return {}

    def labels(self, targets: Tensor) -> Tensor | None:
        """The class of each sample, int64 [n], within which twins are sought; None where there are no classes."""
        return None

    def prepare(self, batch: Batch) -> Batch:
        """Turn stored rows into what the model takes; by default uint8 becomes float32 in [0, 1]."""
        if batch.inputs.dtype == torch.uint8:
            return Batch(batch.inputs.float().div_(255), batch.targets)
        return batch

    def features(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's features of a prepared batch, [n, d].

        Raises:
            BadInputError: the layer is not there, or there is no linear layer to default to.
        """
        source = self.feature_source
        if callable(source):
            return source(model, batch.inputs).flatten(1)
        layer = feature_layer(model, source)
        caught: list[Tensor] = []
        if source is None:
            handle = layer.register_forward_pre_hook(lambda _, args: caught.append(args[0]))
        else:
            handle = layer.register_forward_hook(lambda _module, _args, output: caught.append(output))
        try:
            self.outputs(model, batch)
        finally:
            handle.remove()
        if not caught:
            raise BadInputError("cannot find the model's features", [f"layer {source!r} is never run by the model"])
        return caught[-1].flatten(1)

    def with_features(self, source: FeatureSource) -> Task:
        """This task, with its features found elsewhere."""
        other = copy.copy(self)
        other.feature_source = source
        return other

    def problems_with(self, samples: Samples) -> list[str]:
        """What makes these samples unfit for this task, one sentence each; by default nothing."""
        return []

    def signature(self) -> dict[str, Any]:
        """What this task is, as plain JSON: a checkpoint of another task is recognised by it."""
        with torch.random.fork_rng(devices=[]):
            model = self.build()
        shapes = [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]
        return {
            "task": type(self).__name__,
            "model": type(model).__name__,
            "parameters": sum(p.numel() for p in model.parameters()),
            "shapes": hashlib.blake2b(repr(shapes).encode(), digest_size=16).hexdigest(),
        }


class ClassificationTask(Task):
    """Each input belongs to one of some classes; the loss is cross-entropy, the score 1 for a right answer.

    Args:
        model: a function (or an ``nn.Module`` class) that builds the model; it maps inputs to logits [n, classes].
        classes: the number of classes; targets are int64 [n] in ``range(classes)``.
        features: see `Task`.
        normalise: ``(mean, std)`` of each input channel (in [0, 1] for uint8 inputs), applied before the model.
    """

    scores_are_shares = True

    def __init__(
        self,
        model: Callable[[], nn.Module],
        classes: int,
        *,
        features: FeatureSource = None,
        normalise: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        super().__init__(features=features)
        self.model = model
        self.classes = classes
        self.normalise = normalise

    def build(self) -> nn.Module:
        """A new model."""
        return self.model()

    def prepare(self, batch: Batch) -> Batch:
        """uint8 becomes float32 in [0, 1]; then channels are normalised."""
        inputs, targets = super().prepare(batch)
        if self.normalise is not None:
            shape = (1, -1) + (1,) * (inputs.ndim - 2)
            mean, std = (torch.tensor(v, dtype=inputs.dtype, device=inputs.device) for v in self.normalise)
            inputs = (inputs - mean.view(shape)) / std.view(shape)
        return Batch(inputs, targets)

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy, [n], nats."""
        return functional.cross_entropy(outputs, batch.targets, reduction="none")

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """1 where the likeliest class is the right one, else 0."""
        return (outputs.argmax(dim=1) == batch.targets).float()

    def margins(self, outputs: Tensor, batch: Batch) -> Tensor:
        """``log p_y / (1 - p_y)``: the logit-scaled confidence of Carlini et al. 2022 (LiRA), unbounded and stable."""
        own = outputs.gather(1, batch.targets[:, None])
        others = outputs.scatter(1, batch.targets[:, None], float("-inf"))
        return own.squeeze(1) - others.logsumexp(dim=1)

    def divergences(self, reference: Tensor, outputs: Tensor, batch: Batch) -> Tensor:
        """``KL(reference ‖ outputs)`` of the predicted distributions, [n], nats."""
        return functional.kl_div(
            outputs.log_softmax(1), reference.log_softmax(1), log_target=True, reduction="none"
        ).sum(dim=1)

    def answers(self, outputs: Tensor, batch: Batch) -> list[tuple[Tensor, Tensor]]:
        """Every class, with its predicted probability."""
        targets = batch.targets
        return [(p, torch.full_like(targets, c)) for c, p in enumerate(outputs.softmax(dim=1).unbind(dim=1))]

    def aggregate(self, outputs: Sequence[Tensor]) -> Tensor:
        """The log of the mean predicted probability (it serves as logits)."""
        return mean_probability(outputs)

    def vote(self, outputs: Sequence[Tensor]) -> Tensor:
        """The log of each class's share of the votes (it serves as logits); see `majority_vote`."""
        return majority_vote(outputs)

    def labels(self, targets: Tensor) -> Tensor | None:
        """The targets themselves."""
        return targets

    def problems_with(self, samples: Samples) -> list[str]:
        """Targets that are not class indices in range."""
        targets = samples.targets
        if targets.ndim != 1 or targets.is_floating_point():
            shape = f"{tuple(targets.shape)} {str(targets.dtype).removeprefix('torch.')}"
            return [f"targets are {shape}; classification takes one class index (an integer) a sample"]
        outside = ((targets < 0) | (targets >= self.classes)).nonzero().flatten().tolist()
        if outside:
            named = some(samples.ids[p] for p in outside)
            return [
                f"{len(outside)} targets are out of range (ids {named}); with classes={self.classes} "
                f"they must lie in 0…{self.classes - 1}"
            ]
        return []

    def signature(self) -> dict[str, Any]:
        """What this task is; see `Task.signature`."""
        return {**super().signature(), "classes": self.classes}


def mean_probability(outputs: Sequence[Tensor]) -> Tensor:
    """The log of the mean probability that several models' logits [..., classes] give; it serves as logits."""
    return torch.stack([o.log_softmax(-1) for o in outputs]).logsumexp(dim=0) - math.log(len(outputs))


def majority_vote(outputs: Sequence[Tensor]) -> Tensor:
    """The votes that several models' logits [..., classes] give, as logits: each votes for its likeliest class.

    One more voter splits its vote among the classes as the mean probability p̄ does:
    ``log (v_c + p̄_c) / (S + 1)``, v_c of the S votes being for class c. This leaves the majority's class the
    likeliest, gives a tie to that of the tied classes which the models find likelier on average (and then to the
    first), and keeps losses finite where a class has no vote. A vote does not change with small changes of the
    parameters, so derivatives are those of p̄'s part.
    """
    classes = torch.arange(outputs[0].shape[-1], device=outputs[0].device)
    votes = sum((o.argmax(dim=-1, keepdim=True) == classes).to(o.dtype) for o in outputs)
    assert isinstance(votes, Tensor)
    return torch.logaddexp(votes.log(), mean_probability(outputs)) - math.log(len(outputs) + 1)


def feature_layer(model: nn.Module, name: str | None) -> nn.Module:
    """The layer called ``name``, or the model's last linear layer.

    Raises:
        BadInputError: there is no such layer.
    """
    if name is None:
        linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
        if linear:
            return linear[-1]
        why = f"{type(model).__name__} has no nn.Linear layer to take them before; name a layer with features=…"
    else:
        layers = dict(model.named_modules())
        if name in layers:
            layer: nn.Module = layers[name]
            return layer
        why = f"{type(model).__name__} has no layer {name!r}; it has {some(n for n in layers if n)}"
    raise BadInputError("cannot find the model's features", [why])
