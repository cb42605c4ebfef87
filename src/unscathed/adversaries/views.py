"""Views: what an adversary may know, and no more.

A view holds functions, not the things behind them: there is no attribute through which an adversary that is
given the model's outputs could reach its weights. What views hand out are copies.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Self

from torch import Tensor, nn

from unscathed.curvature import ModelFunction
from unscathed.problems import BadInputError, Problems
from unscathed.samples import Samples
from unscathed.training import Trained
from unscathed.unlearners.last_layer import LastLayer, problems_with_layer


class QueryBudgetError(BadInputError):
    """An adversary asked the model about more inputs than it may; nothing was answered, and nothing was counted."""


class BlindView:
    """Knows no model: only the samples that it may ask to forget.

    Args:
        samples: the samples whose removal it may request.
        owners: whose each sample is, by id: a requester's name, or None (as for ids that are left out) where that is
            not known; ids of other samples are passed over. None where nothing is known of any.
    """

    __slots__ = ("_owners", "_samples")

    def __init__(self, samples: Samples, *, owners: Mapping[str, str | None] | None = None) -> None:
        self._samples = samples
        if owners is None:
            self._owners: Mapping[str, str | None] | None = None
        else:
            named = {str(i): owner for i, owner in owners.items()}
            self._owners = MappingProxyType({i: named.get(i) for i in samples.ids})

    @classmethod
    def of(
        cls,
        trained: Trained,
        samples: Samples,
        *,
        validation: Samples | None = None,
        owners: Mapping[str, str | None] | None = None,
    ) -> Self:
        """This kind of view, from what is at hand: of that it is given what it takes, and settings stay at defaults.

        Args:
            trained: the model attacked.
            samples: the samples whose removal may be requested.
            validation: samples whose loss is to be raised.
            owners: see `BlindView`.

        Raises:
            BadInputError: it needs something else.
        """
        at_hand: dict[str, Any] = {"trained": trained, "samples": samples, "validation": validation, "owners": owners}
        takes = inspect.signature(cls).parameters
        lacking = [name for name, p in takes.items() if p.default is p.empty and at_hand.get(name) is None]
        if lacking:
            raise BadInputError("cannot make the view", [f"a {cls.__name__} needs {name}=…" for name in lacking])
        return cls(**{name: at_hand[name] for name in takes if name in at_hand})

    @property
    def samples(self) -> Samples:
        """The samples whose removal may be requested."""
        return self._samples

    @property
    def owners(self) -> Mapping[str, str | None] | None:
        """Whose each of these samples is, by id in their order: public. None where nothing is known."""
        return self._owners


class OutputView(BlindView):
    """May also query the model: its outputs for any inputs, and its losses and margins where their targets are given.

    Each input that is sent counts as one query, whatever is asked of it, and each time that it is sent.

    Args:
        trained: the model attacked.
        samples: the samples whose removal it may request.
        queries: how many inputs may be sent; by default any number.
        labels_only: the model answers with the classes that it predicts, and with nothing else.
        owners: see `BlindView`.

    Raises:
        BadInputError: there cannot be so many queries, or the model predicts no classes.
    """

    __slots__ = ("_classes", "_left", "_limited", "labels", "losses", "margins", "outputs")

    outputs: Callable[[Samples], Tensor]
    """The model's outputs for samples, [n, ...], or the predicted classes, int64 [n, ...]; targets do not matter."""
    margins: Callable[[Samples], Tensor]
    """How sure the model is of each sample's target, [n] (`Task.margins`)."""
    losses: Callable[[Samples], Tensor]
    """The loss of each sample, [n] (`Task.losses`)."""
    labels: Callable[[Tensor], Tensor | None]
    """The class of each target (`Task.labels`): public."""

    def __init__(
        self,
        trained: Trained,
        samples: Samples,
        *,
        queries: int | None = None,
        labels_only: bool = False,
        owners: Mapping[str, str | None] | None = None,
    ) -> None:
        problems = Problems("cannot make the view")
        problems.require(queries is None or queries >= 0, f"queries={queries} must be a number of inputs, at least 0")
        problems.require(
            not labels_only or trained.task.can_vote,
            f"labels_only=True needs a task that predicts classes; {type(trained.task).__name__} does not",
        )
        problems.raise_any()
        super().__init__(samples, owners=owners)
        spend, left = _meter(queries)

        def outputs(of: Samples) -> Tensor:
            spend(len(of))
            answer = trained.outputs(of)
            return answer.argmax(dim=-1) if labels_only else answer

        def margins(of: Samples) -> Tensor:
            _refuse(labels_only, "margins")
            spend(len(of))
            return trained.evaluate(of).margins.clone()

        def losses(of: Samples) -> Tensor:
            _refuse(labels_only, "losses")
            spend(len(of))
            return trained.evaluate(of).losses.clone()

        self.outputs, self.margins, self.losses = outputs, margins, losses
        self.labels = lambda targets: trained.task.labels(targets)
        self._left = left
        self._limited = bool(labels_only)
        self._classes = trained.task.can_vote

    @property
    def queries_left(self) -> int | None:
        """How many more inputs may be sent; None for any number."""
        return self._left()

    @property
    def labels_only(self) -> bool:
        """Whether the model answers with nothing but the classes that it predicts."""
        return self._limited

    @property
    def predicts_classes(self) -> bool:
        """Whether the likeliest class is where the model's outputs are highest (`Task.can_vote`): public."""
        return self._classes


class ServiceView(OutputView):
    """May also ask what the model would score once it had unlearned this or that.

    Args:
        trained: the model attacked.
        samples: the samples whose removal it may request.
        unlearned: of samples to be unlearned, what the model scores after that (higher is better for its owner); the
            finer the score, the more a query tells.
        owners: see `BlindView`.
    """

    __slots__ = ("_queries", "unlearned")

    unlearned: Callable[[Samples], float]
    """What the model scores after samples were unlearned; each call is a query."""

    def __init__(
        self,
        trained: Trained,
        samples: Samples,
        *,
        unlearned: Callable[[Samples], float],
        owners: Mapping[str, str | None] | None = None,
    ) -> None:
        super().__init__(trained, samples, owners=owners)
        self._queries = 0

        def counted(of: Samples) -> float:
            self._queries += 1
            return unlearned(of)

        self.unlearned = counted

    @property
    def queries(self) -> int:
        """How often it has asked."""
        return self._queries


class ParameterView(OutputView):
    """Also knows the weights: it may take any derivative, and holds validation samples of its own.

    Whoever has the weights may ask them as often as it likes, so that no queries are counted.

    Args:
        trained: the model attacked.
        samples: the samples whose removal it may request.
        validation: samples whose loss it wants to raise.
        owners: see `BlindView`.
    """

    __slots__ = ("function", "last_layer", "model", "validation")

    model: Callable[[], nn.Module]
    """A copy of the model."""
    function: Callable[[], ModelFunction]
    """The model as a function of its parameters, of which derivatives are taken."""
    last_layer: Callable[[Samples, float], LastLayer]
    """The last linear layer over some samples' features, with a regularisation, in float64."""

    def __init__(
        self,
        trained: Trained,
        samples: Samples,
        *,
        validation: Samples,
        owners: Mapping[str, str | None] | None = None,
    ) -> None:
        problems = Problems("cannot make the view")
        problems.require(len(validation) > 0, "the validation samples are empty")
        problems.extend(trained.task.problems_with(validation))
        problems.raise_any()
        super().__init__(trained, samples, owners=owners)
        self.model = lambda: trained.model()
        self.function = lambda: ModelFunction(trained)
        self.last_layer = lambda of, regularisation: LastLayer(trained, of, regularisation)
        self.validation = validation


def _meter(queries: int | None) -> tuple[Callable[[int], None], Callable[[], int | None]]:
    """What counts inputs before they are answered, and what says how many are left."""
    left = queries

    def spend(count: int) -> None:
        nonlocal left
        if left is None:
            return
        if count > left:
            raise QueryBudgetError(
                "cannot query the model", [f"{count} inputs are sent, and {left} of {queries} queries are left"]
            )
        left -= count

    return spend, lambda: left


def _refuse(labels_only: bool, asked: str) -> None:
    if labels_only:
        raise BadInputError(
            "cannot query the model", [f"it answers with predicted classes alone (labels_only=True): no {asked}"]
        )


def check_last_layer(adversary: object, view: ParameterView) -> None:
    """Raise `BadInputError` unless the model ends with a linear layer that is a convex problem of its own."""
    problems = Problems(f"cannot attack with {type(adversary).__name__}")
    problems.extend(problems_with_layer(view.model().cpu(), view.function().task, view.samples))
    problems.raise_any()
