import pytest
import torch
from tests.support import Crowd

from unscathed import BadInputError
from unscathed.adversaries import Backdoored, Hubs, Mislabelled, NearDuplicates
from unscathed.reserve.screens import NeighbourAgreement


def test_the_share_of_neighbours_that_disagree_by_hand() -> None:
    vectors = torch.tensor([[0.0], [1.0], [2.1], [9.0], [10.0]])
    labels = torch.tensor([0, 0, 1, 1, 1])
    assert NeighbourAgreement(k=2).scores(vectors, labels).tolist() == [0.5, 0.5, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("attack", [Mislabelled(), Mislabelled(share=0.2), Mislabelled(target=3)], ids=repr)
def test_it_finds_wrong_labels(attack: Mislabelled, crowd: Crowd) -> None:
    area, caught = crowd.found(NeighbourAgreement(), attack)
    assert area > 0.9
    assert caught > 0.6, "chance is the attack's share"


@pytest.mark.parametrize("attack", [NearDuplicates(), Backdoored(clean_label=True), Hubs(tries=200)], ids=repr)
def test_it_finds_nothing_where_labels_are_right(attack: Hubs, crowd: Crowd) -> None:
    area, caught = crowd.found(NeighbourAgreement(), attack)
    assert 0.3 < area < 0.65
    assert caught < 0.2


def test_one_spare_and_no_classes() -> None:
    assert NeighbourAgreement().scores(torch.zeros(1, 2), torch.zeros(1).long()).tolist() == [0.0]
    with pytest.raises(BadInputError, match="needs classes"):
        NeighbourAgreement().scores(torch.zeros(3, 2))
    with pytest.raises(BadInputError, match="k=0"):
        NeighbourAgreement(k=0)
