"""A crowd of spares, in which screens look for those of an attacker."""

from typing import NamedTuple

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from unscathed import Cosine, Samples, Trained
from unscathed.adversaries.poisoning import Poisoning
from unscathed.reserve.screens import Screen


class Crowd(NamedTuple):
    """Samples that the model knows, and spares."""

    trained: Trained
    samples: Samples
    spares: Samples

    def found(self, screen: Screen, attack: Poisoning) -> tuple[float, float]:
        """How well a screen tells an attack's spares from the rest: the area under its ROC curve, and the share of the
        attacker's that it flags while it flags as many as there are."""
        poisoned, ids = attack.poison(self.spares, trained=self.trained, owned=self.samples.at(torch.arange(150)))
        bad = torch.zeros(len(poisoned), dtype=torch.bool)
        bad[poisoned.positions(ids)] = True
        scores = screen.scores(self.places(poisoned), poisoned.targets)
        flagged = screen.flag(scores, lose=attack.share)
        assert int(flagged.sum()) <= len(ids)
        return float(roc_auc_score(bad, scores)), float(flagged[bad].float().mean())

    def places(self, samples: Samples) -> Tensor:
        """Where twins are compared by default, [n, d]."""
        similarity = Cosine()
        vectors = similarity.space.vectors(samples, self.trained)
        return similarity.fit(vectors, samples.targets).place(vectors)
