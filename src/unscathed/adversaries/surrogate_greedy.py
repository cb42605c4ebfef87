"""Surrogate greedy: attacks a model of its own that answers like the one that it queries."""

from __future__ import annotations

import torch
from torch import Tensor

from unscathed.adversaries.base import Adversary
from unscathed.adversaries.views import BlindView, OutputView
from unscathed.curvature import ModelFunction
from unscathed.problems import Problems
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training import Recipe, Trained, fit
from unscathed.training.seeds import derive, generator


class SurrogateGreedy(Adversary[OutputView]):
    """Trains a surrogate on the model's answers, and asks for what hurts the surrogate most, a part at a time.

    It sends some of its samples, each once. On most of the answers it trains the surrogate; the others are held out.
    It then does to the surrogate what `ParameterAware` does to the model: it takes the samples whose gradients are most
    aligned with that of the held-out loss, trains the surrogate anew without them, and goes on from there. Only the
    predicted classes are used, so that it loses nothing where the model answers with no more. Samples that it held out
    come last: their own gradients are part of what they are compared with.

    Args:
        budget: see `Adversary`.
        task: of the surrogate; it need not be the model's.
        recipe: how the surrogate is trained; by default `Recipe()`.
        queries: how many samples it sends, at most; by default all, or as many as the view allows.
        held_out: the share of the answers that the surrogate is not trained on.
        rounds: how many parts; the surrogate is trained once for each.
        seed: what is sent and held out, and the surrogate's training.

    Raises:
        BadInputError: settings cannot be, or (when it chooses) there are no classes or too few queries.

    Source: Papernot et al. 2017, "Practical Black-Box Attacks against Machine Learning", section 4 (the surrogate);
    Pruthi et al. 2020, "TracIn" (the alignment).
    """

    view_type = OutputView
    works_from_labels = True

    def __init__(
        self,
        budget: float | int = 0.05,
        *,
        task: Task,
        recipe: Recipe | None = None,
        queries: int | None = None,
        held_out: float = 0.2,
        rounds: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__(budget)
        problems = Problems("cannot use SurrogateGreedy")
        problems.require(queries is None or queries >= 2, f"queries={queries} must be at least 2")
        problems.require(0 < held_out < 1, f"held_out={held_out} must be a share between 0 and 1")
        problems.require(rounds >= 1, f"rounds={rounds} must be at least 1")
        problems.require(task.can_vote, f"the surrogate's task must predict classes; {type(task).__name__} does not")
        problems.raise_any()
        self.task = task
        self.recipe = recipe or Recipe()
        self.queries = queries
        self.held_out = held_out
        self.rounds = rounds
        self.seed = seed

    def __repr__(self) -> str:
        return (
            f"SurrogateGreedy(budget={self.budget}, task={type(self.task).__name__}(…), recipe={self.recipe}, "
            f"queries={self.queries}, held_out={self.held_out}, rounds={self.rounds}, seed={self.seed})"
        )

    def _lacks(self, view: BlindView) -> list[str]:
        assert isinstance(view, OutputView)
        lacking = [f"the surrogate cannot learn these samples: {p}" for p in self.task.problems_with(view.samples)]
        if not view.predicts_classes:
            lacking.append("it needs a model that predicts classes")
        if self._sends(view) < 2:
            lacking.append(f"it needs at least 2 queries, and {view.queries_left} are left")
        return lacking

    def _sends(self, view: OutputView) -> int:
        """How many samples it sends to this view."""
        limits = (len(view.samples), self.queries, view.queries_left)
        return min(limit for limit in limits if limit is not None)

    def _choose(self, view: OutputView, count: int) -> tuple[str, ...]:
        study, probes = self._answers(view)
        last = torch.zeros(len(view.samples), dtype=torch.bool)
        last[view.samples.positions(probes.ids)] = True
        taken: list[int] = []
        surrogate: Trained | None = None
        for part in range(self.rounds):
            size = count * (part + 1) // self.rounds - len(taken)
            gone = {view.samples.ids[p] for p in taken}
            kept = [i for i in study.ids if i not in gone]
            if size == 0:
                continue
            if kept or surrogate is None:
                surrogate = fit(self.task, study.only(kept), self.recipe, seed=derive(self.seed, "surrogate"))
            taken += _most_wanted(_alignments(surrogate, view.samples, probes), last, taken, size)
        return tuple(view.samples.ids[p] for p in taken)

    def _answers(self, view: OutputView) -> tuple[Samples, Samples]:
        """Samples under the classes that the model predicts: what the surrogate is trained on, and what is held out."""
        count = self._sends(view)
        draw = generator(self.seed, "queries")
        sent = view.samples.at(torch.randperm(len(view.samples), generator=draw)[:count])
        outputs = view.outputs(sent)
        predicted = outputs if view.labels_only else outputs.argmax(dim=-1)
        answered = Samples(sent.inputs, predicted, sent.ids, classes=sent.classes)
        held = min(count - 1, max(1, round(self.held_out * count)))
        return answered.at(torch.arange(held, count)), answered.at(torch.arange(held))


def _alignments(surrogate: Trained, samples: Samples, probes: Samples) -> Tensor:
    """The product of each sample's gradient with the gradient of the mean loss over the probes, [n]."""
    function = ModelFunction(surrogate)
    return function.directional_derivatives(samples, function.mean_gradient(probes))


def _most_wanted(values: Tensor, last: Tensor, taken: list[int], count: int) -> list[int]:
    """The positions with the highest values [n] that are not taken; those marked ``last`` [n] come after all others."""
    free = torch.ones_like(last)
    free[taken] = False
    order = torch.argsort(values, descending=True, stable=True)
    order = order[torch.argsort(last[order].long(), stable=True)]
    return order[free[order]][:count].tolist()
