import pytest
import torch
from tests.support import Crowd

from unscathed.adversaries import Backdoored, Hubs, NearDuplicates
from unscathed.adversaries.poisoning import Poisoning
from unscathed.reserve.screens import SpectralOutliers


def test_scores_are_the_paper_s() -> None:
    """``((R(x) - R̂) · v)²``, v from a singular value decomposition, class by class."""
    generator = torch.Generator().manual_seed(0)
    vectors, labels = torch.randn(40, 6, generator=generator), torch.arange(40) % 2
    scores = SpectralOutliers().scores(vectors, labels)
    for label in (0, 1):
        own = vectors[labels == label].double()
        own = own - own.mean(dim=0)
        top = torch.linalg.svd(own).Vh[0]
        torch.testing.assert_close(scores[labels == label], (own @ top).square().float())
    alone = SpectralOutliers().scores(vectors)
    assert not torch.allclose(alone, scores)


def test_it_finds_a_group_that_was_planted_in_a_class(crowd: Crowd) -> None:
    area, caught = crowd.found(SpectralOutliers(), Backdoored())
    assert area > 0.9
    assert caught > 0.6


@pytest.mark.parametrize("attack", [NearDuplicates(), NearDuplicates(share=0.2), Hubs(tries=200)], ids=repr)
def test_it_finds_nothing_where_no_group_stands_apart(attack: Poisoning, crowd: Crowd) -> None:
    area, caught = crowd.found(SpectralOutliers(), attack)
    assert 0.3 < area < 0.65
    assert caught < attack.share + 0.15
