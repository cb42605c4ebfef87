"""Saliency unlearning: random labels, learned by those parameters alone that the forget set pulls at most."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from unscathed.curvature import ModelFunction
from unscathed.curvature.functional import Parameters
from unscathed.samples import Samples
from unscathed.task import Task
from unscathed.training import Callback, Trained, tune
from unscathed.training.seeds import derive, generator
from unscathed.unlearners.fine_tuning import FineTuning


@dataclass(frozen=True, kw_only=True)
class Saliency(FineTuning):
    """Fine-tune the parameters that are salient to the forget set D_f on random labels for it, beside the retained D_r.

    ``θ' = m_S ⊙ (Δθ + θ) + (1 - m_S) ⊙ θ`` with the mask ``m_S = 1(|∇ℓ(θ; D_f)| ≥ γ)``, where Δθ minimises
    ``Σ_{D_f} ℓ(θ'; x, y') + α Σ_{D_r} ℓ(θ'; x, y)``. Parameters outside the mask stay as they are, to the bit, whatever
    the optimizer would do to them.

    A random label y' is the target of a retained sample of another class, drawn once a request; classes come up as
    often as they do in what is retained. Where a task has no classes, there are no other labels to draw, and the loss
    of the forget set is climbed under the same mask instead, ``-ℓ(θ'; x, y)`` in the place of ``ℓ(θ'; x, y')``: random
    labels are a bounded way up the same loss, and the source combines its mask with ascent too.

    Theirs are the mask, its share (γ is the median), random labels and their fine-tuning beside the retained samples,
    each sample counting once. Chosen here are the duration and learning rate: theirs were searched for each data set.

    Args:
        share: of parameters that are salient: γ is the magnitude that so many reach. Those without any gradient never
            are.
        alpha: α, how much more a retained sample's loss counts than a forgotten one's.
        epochs: passes over all samples, forgotten and retained; give this or ``steps``. By default a tenth of the
            original's training.
        steps: gradient steps.
        learning_rate: its peak, as a share of the original recipe's.
        kl_budget: what it may cost on retained samples, nats (`FineTuning`).

    Source: Fan et al. 2024, "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency", section 4.
    """

    share: float = 0.5
    alpha: float = 1.0

    def _problems_with_settings(self) -> list[str]:
        found = [] if 0 < self.share <= 1 else [f"share={self.share} must lie in 0 < share ≤ 1"]
        return found if self.alpha >= 0 else [*found, f"alpha={self.alpha} must not be negative"]

    def problems_with(self, trained: Trained, samples: Samples, forget: Sequence[str]) -> list[str]:
        """Classes of which no other is retained."""
        if samples.problems_with(forget) or len(forget) == len(samples):
            return []
        parts = samples.only(forget), samples.without(forget)
        ours, theirs = (trained.task.labels(part.targets) for part in parts)
        if ours is None or theirs is None or all(bool((theirs != c).any()) for c in torch.unique(ours)):
            return []
        return ["all retained samples are of one class, which is also forgotten; a random label must be of another"]

    def _unlearn(
        self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
    ) -> Trained:
        started = time.perf_counter()
        forgotten, retain = samples.only(forget), samples.without(forget)
        function = ModelFunction(trained)
        salient = salient_parameters(function.mean_gradient(forgotten), self.share)

        # A second request must not draw the first one's labels again.
        requests = len(trained.history)
        relabelled = random_labels(trained.task, forgotten, retain, generator(seed, "random labels", requests))
        weights = torch.full((len(forgotten) + len(retain),), self.alpha, dtype=torch.float64)
        weights[: len(forgotten)] = -1.0 if relabelled is None else 1.0
        joined = (relabelled or forgotten) + retain
        tuned = tune(
            trained,
            joined,
            self.recipe_for(trained, len(joined)),
            seed=derive(seed, "saliency", requests),
            kind="unlearned",
            by=repr(self),
            callbacks=callbacks,
            what="saliency unlearning",
            weights=weights,
            around_step=partial(moving_only, function.unflatten(salient)),
        )
        return self.settle(
            trained,
            tuned,
            retain,
            forget,
            seed=seed,
            started=started,
            steps=-(-len(forgotten) // trained.recipe.batch_size) + tuned.history[-1].steps,
            details={
                "salient": int(salient.sum()),
                "parameters": len(salient),
                "toward": "ascent" if relabelled is None else "random labels",
            },
        )


def salient_parameters(gradient: Tensor, share: float) -> Tensor:
    """The mask m_S: whether a parameter is among the share with the largest gradients; a bool vector [p].

    Args:
        gradient: of the forget set's loss, a vector [p].
        share: of parameters, at least one; of equal gradients the first come first, and those of 0 never.
    """
    magnitudes = gradient.abs()
    largest = magnitudes.argsort(descending=True, stable=True)[: max(1, round(share * len(magnitudes)))]
    mask = torch.zeros_like(magnitudes, dtype=torch.bool)
    mask[largest] = True
    return mask & (magnitudes > 0)


def random_labels(task: Task, forgotten: Samples, retain: Samples, draw: torch.Generator) -> Samples | None:
    """The forgotten samples with the targets of retained ones of other classes; None where a task has no classes.

    Args:
        task: which has classes, or not.
        forgotten: the samples to relabel; each one's class must not be all that is retained.
        retain: where targets are drawn from.
        draw: how.
    """
    ours, theirs = task.labels(forgotten.targets), task.labels(retain.targets)
    if ours is None or theirs is None:
        return None
    chosen = torch.empty(len(forgotten), dtype=torch.long)
    for own in torch.unique(ours):
        others = (theirs != own).nonzero().flatten()
        places = (ours == own).nonzero().flatten()
        chosen[places] = others[torch.randint(len(others), (len(places),), generator=draw)]
    return Samples(forgotten.inputs, retain.targets[chosen], forgotten.ids, classes=forgotten.classes)


@contextmanager
def moving_only(salient: Parameters, model: nn.Module) -> Iterator[None]:
    """Around an optimizer's step: what is not salient is left as it was.

    Its gradients are nothing, and it is put back afterwards, since weight decay moves it all the same, and Muon makes a
    step out of all of a matrix.

    Args:
        salient: the mask, bool, by the parameters' names.
        model: whose gradients are there.
    """
    moved = [(p, salient[name], p.detach().clone()) for name, p in model.named_parameters() if name in salient]
    for parameter, mask, _ in moved:
        if parameter.grad is not None:
            parameter.grad.masked_fill_(~mask, 0)
    yield
    with torch.no_grad():
        for parameter, mask, before in moved:
            parameter.copy_(torch.where(mask, parameter, before))
