"""Margins: are those of models that unlearned distributed as gold's, over many models?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unscathed.audit.case import Case
from unscathed.audit.check import Check
from unscathed.audit.intervals import Difference
from unscathed.audit.klom import compare_klom
from unscathed.audit.measure import Measure
from unscathed.samples import Samples
from unscathed.training import Trained


@dataclass(frozen=True, kw_only=True)
class Margins(Measure):
    """KLOM: how far margins over several models are from those over gold models, against how far gold is from gold.

    It judges a way of unlearning, not one model: the model audited must be one of ``models``, all made the same way
    from other seeds. Of a model that is neither one of them nor of ``originals``, nothing is known.

    What is judged is the mean over the forgotten. Retained and test samples are told: where they are far from gold's,
    the model behaves otherwise than a retrained one, which is no memory.

    Args:
        models: unlearned (and healed), each from a seed of its own.
        golds: retrained without the forgotten, each from a seed of its own, the audit's own gold among them where it
            has one; at least twice as many as models, since one half is compared with the other.
        originals: that never forgot, each from a seed of its own (those that ``models`` were made of): the control,
            and needed where the audit is given the original.
        ratio: how many times its floor KLOM may be.
        bins: see `compare_klom`.
    """

    models: tuple[Trained, ...] = field(repr=False)
    golds: tuple[Trained, ...] = field(repr=False)
    originals: tuple[Trained, ...] = field(default=(), repr=False)
    ratio: float = 1.5
    bins: int | None = None

    asks = "forgetting"

    def problems_with(self, case: Case) -> list[str]:
        """There must be models enough, each of its own, and gold that is gold."""
        found = []
        sets = {"models": self.models, "golds": self.golds, "originals": self.originals}
        for name, least in (("models", 2), ("golds", 4)):
            if len(sets[name]) < least:
                found.append(f"KLOM needs at least {least} {name}, and there are {len(sets[name])}")
        if len(self.originals) < 2 and (self.originals or case.original is not None):
            found.append(f"KLOM of the original needs at least 2 originals, and there are {len(self.originals)}")
        gone = set(case.forgotten.ids)
        inside = sum(not gone.isdisjoint(gold.ids) for gold in self.golds)
        if inside:
            found.append(f"{inside} of {len(self.golds)} golds were trained on forgotten samples: they are not gold")
        if case.peer is not None and not any(case.peer.weights is gold.weights for gold in self.golds):
            found.append("what forgetting is compared with is not among golds: they were made some other way")
        for name, models in sets.items():
            if len({id(model) for model in models}) < len(models):
                found.append(f"some of {name} are the same model; train each from a seed of its own")
        if self.ratio <= 1:
            found.append(f"ratio={self.ratio} must be above 1: gold itself is 1")
        return found

    def checks(self, model: Trained, case: Case) -> tuple[Check, ...]:
        """KLOM on the forgotten; then, told and not judged, on test and retained samples."""
        models = self._made_like(model)
        parts = {"the forgotten": case.forgotten, "test samples": case.test, "retained samples": case.retain}
        return tuple(
            self._check(f"KLOM on {name}", models, part, case)
            for name, part in parts.items()
            if part is not None and len(part)
        )

    def _made_like(self, model: Trained) -> tuple[Trained, ...]:
        # A model that did nothing but claim that it forgot has the original's weights.
        for models in (self.models, self.originals):
            if any(model.weights is one.weights for one in models):
                return models
        return ()

    def _check(self, name: str, models: tuple[Trained, ...], part: Samples, case: Case) -> Check:
        judged = part is case.forgotten
        if not models:
            unknown = Difference(math.nan, math.nan, -math.inf, math.inf)
            return Check(name, unknown, None, 0.0 if judged else None, remark="no other models were made like this one")
        golds = case.once((self, "golds", part), lambda: _margins(self.golds, part))
        found = compare_klom(_margins(models, part), golds, bins=self.bins, ratio=self.ratio)
        of = found.difference
        return Check(
            name,
            of,
            None,
            (self.ratio - 1) * of.reference if judged else None,
            against="another gold",
            remark=f"{found.each} models a side, {found.bins} bins, nats",
        )


def _margins(models: Sequence[Trained], samples: Samples) -> Tensor:
    return torch.stack([model.evaluate(samples).margins for model in models])
