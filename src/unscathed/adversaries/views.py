"""Views: what an adversary may know, and no more.

A view holds functions, not the things behind them: there is no attribute through which an adversary that is
given the model's outputs could reach its weights. What views hand out are copies.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from unscathed.curvature import ModelFunction
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.training import Trained


class BlindView:
    """Knows no model: only the samples that it may ask to forget.

    Args:
        samples: the samples whose removal it may request.
    """

    __slots__ = ("_samples",)

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    @property
    def samples(self) -> Samples:
        """The samples whose removal may be requested."""
        return self._samples


class OutputView(BlindView):
    """May also query the model: losses, scores and margins of its own samples, and the outputs themselves.

    Args:
        trained: the model attacked.
        samples: the samples whose removal it may request.
    """

    __slots__ = ("labels", "margins", "outputs")

    outputs: Callable[[Samples], Tensor]
    """The model's outputs for samples, [n, ...]."""
    margins: Callable[[Samples], Tensor]
    """How sure the model is of each sample's target, [n] (`Task.margins`)."""
    labels: Callable[[Tensor], Tensor | None]
    """The class of each target (`Task.labels`): public."""

    def __init__(self, trained: Trained, samples: Samples) -> None:
        super().__init__(samples)
        self.outputs = lambda of: trained.outputs(of)
        self.margins = lambda of: trained.evaluate(of).margins
        self.labels = lambda targets: trained.task.labels(targets)


class ParameterView(OutputView):
    """Also knows the weights: it may take any derivative, and holds validation samples of its own.

    Args:
        trained: the model attacked.
        samples: the samples whose removal it may request.
        validation: samples whose loss it wants to raise.
    """

    __slots__ = ("function", "model", "validation")

    model: Callable[[], nn.Module]
    """A copy of the model."""
    function: Callable[[], ModelFunction]
    """The model as a function of its parameters, of which derivatives are taken."""

    def __init__(self, trained: Trained, samples: Samples, *, validation: Samples) -> None:
        problems = Problems("cannot make the view")
        problems.require(len(validation) > 0, "the validation samples are empty")
        problems.extend(trained.task.problems_with(validation))
        problems.raise_any()
        super().__init__(trained, samples)
        self.model = lambda: trained.model()
        self.function = lambda: ModelFunction(trained)
        self.validation = validation
