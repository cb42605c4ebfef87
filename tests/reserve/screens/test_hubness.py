import pytest
import torch
from sklearn.metrics import roc_auc_score
from tests.support import Crowd

from unscathed import BadInputError, Raw
from unscathed.adversaries import Hubs, NearDuplicates
from unscathed.reserve.screens import Hubness
from unscathed.similarity import Euclidean


def test_the_middle_of_a_star_is_its_hub() -> None:
    vectors, labels = (
        torch.cat([torch.zeros(1, 8), torch.eye(8), 9 + torch.randn(5, 8)]),
        torch.tensor([0] * 9 + [1] * 5),
    )
    scores = Hubness(k=1).scores(vectors, labels)
    # Each ray's nearest is the middle, and the middle's own is any one ray: all are as far.
    counts = torch.tensor([8.0, 1.0] + [0.0] * 7)
    assert scores[:9].argmax() == 0
    assert float(scores[0]) == pytest.approx(float((8 - 1) / counts.std(correction=0)))
    assert float(scores[:9].mean()) == pytest.approx(0, abs=1e-6)
    assert float(scores[9:].mean()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_it_finds_hubs_where_twins_are_sought_among_pixels(share: float, crowd: Crowd) -> None:
    attack = Hubs(share=share, similarity=Euclidean(Raw()))
    poisoned, ids = attack.poison(crowd.spares, trained=crowd.trained)
    bad = torch.zeros(len(poisoned), dtype=torch.bool)
    bad[poisoned.positions(ids)] = True
    scores = Hubness().scores(Raw().vectors(poisoned, crowd.trained), poisoned.targets)
    assert roc_auc_score(bad, scores) > 0.95
    assert float(Hubness().flag(scores, lose=share)[bad].float().mean()) > 0.5
    assert scores[bad].mean() > 2, "in deviations, where honest spares' mean is about 0"


def test_it_finds_nothing_where_there_are_no_hubs(crowd: Crowd) -> None:
    area, caught = crowd.found(Hubness(), NearDuplicates())
    assert 0.35 < area < 0.65
    assert caught < 0.2


def test_where_all_are_alike_nobody_stands_out() -> None:
    assert Hubness().scores(torch.eye(3)).tolist() == [0.0] * 3
    assert Hubness().scores(torch.zeros(1, 2)).tolist() == [0.0]
    with pytest.raises(BadInputError, match="k=0"):
        Hubness(k=0)
