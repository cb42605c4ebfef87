import math

import pytest
import torch
from tests.support import Crowd

from unscathed.adversaries import Hubs, Mislabelled, NearDuplicates
from unscathed.adversaries.poisoning import Poisoning
from unscathed.reserve.screens import Crowding


def test_scores_by_hand() -> None:
    vectors = torch.tensor([[0.0], [1.0], [4.0], [9.0], [9.0], [5.0], [7.0]])
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1])
    # Of class 0 the nearest others are 1, 1, 3, 0 and 0 away, and copies count as close as can be.
    expected = [0.0, 0.0, -math.log(3), 16.0, 16.0, 0.0, 0.0]
    assert Crowding().scores(vectors, labels).tolist() == pytest.approx(expected)
    assert Crowding().scores(torch.zeros(1, 2)).tolist() == [0.0]
    assert Crowding().scores(torch.zeros(4, 2)).tolist() == [0.0] * 4


def test_it_finds_what_was_contributed_many_times_over(crowd: Crowd) -> None:
    attack = NearDuplicates(share=0.1)
    poisoned, ids = attack.poison(crowd.spares, owned=crowd.samples.at(torch.arange(10)))
    scores = Crowding().scores(crowd.places(poisoned), poisoned.targets)
    flagged = Crowding().flag(scores, lose=0.1)
    assert float(flagged[poisoned.positions(ids)].float().mean()) > 0.7


def test_it_finds_hubs_since_they_lie_close_to_many(crowd: Crowd) -> None:
    area, caught = crowd.found(Crowding(), Hubs(tries=200))
    assert area > 0.8
    assert caught > 0.4


@pytest.mark.parametrize("attack", [NearDuplicates(), Mislabelled()], ids=repr)
def test_it_finds_nothing_where_each_is_contributed_once(attack: Poisoning, crowd: Crowd) -> None:
    _, caught = crowd.found(Crowding(), attack)
    assert caught < attack.share + 0.15
