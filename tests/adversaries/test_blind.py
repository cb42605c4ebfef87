"""What blind adversaries ask for, against brute force and data made for them."""

import pytest
import torch
from tests.support import blobs

from unscathed import BadInputError, BlindView, Samples
from unscathed.adversaries import Outliers, Prototypes, RareSubgroups, WholeHoldings
from unscathed.adversaries.groups import in_turn, raw, shares
from unscathed.reserve.screens.base import by_class

SAMPLES = blobs(45, spread=0.8)
VIEW = BlindView(SAMPLES)
ROWS = (SAMPLES.inputs - SAMPLES.inputs.mean(dim=0)) / SAMPLES.inputs.std(dim=0, correction=0)
"""A table's columns are compared in units of their deviation."""


def classes(chosen: tuple[str, ...]) -> list[int]:
    return torch.bincount(SAMPLES.only(chosen).targets, minlength=3).tolist()


@pytest.mark.parametrize("neighbours", [1, 4, 99])
def test_outliers_are_far_from_their_nearest(neighbours: int) -> None:
    inputs, targets = ROWS.double(), SAMPLES.targets
    expected = []
    for place in range(45):
        others = [p for p in range(45) if p != place and targets[p] == targets[place]]
        distances = sorted(float((inputs[p] - inputs[place]).norm()) for p in others)[:neighbours]
        expected.append(sum(distances) / len(distances))
    values = Outliers(neighbours=neighbours).values(VIEW)
    assert values.tolist() == pytest.approx(expected, rel=1e-5)
    order = torch.tensor(expected).argsort(descending=True)[:6].tolist()
    assert list(Outliers(6, neighbours=neighbours).choose(VIEW)) == [SAMPLES.ids[p] for p in order]


def test_exact_copies_are_neighbours_and_what_is_alone_comes_first() -> None:
    inputs = torch.tensor([[0.0], [0.0], [1.0], [3.0], [9.0]])
    view = BlindView(Samples(inputs, torch.tensor([0, 0, 0, 0, 1]), ids="abcde"))
    unit = float(inputs.std(correction=0))
    expected = [0.0, 0.0, 1.0 / unit, 2.0 / unit, float("inf")]
    assert Outliers(neighbours=1).values(view).tolist() == pytest.approx(expected)
    assert Outliers(2, neighbours=1).choose(view) == ("e", "d")


def test_prototypes_leave_nothing_of_a_class_uncovered() -> None:
    chosen = Prototypes(15).choose(VIEW)
    assert classes(chosen) == [5, 5, 5]
    # Chosen within its class, one after the other, the farthest from those before.
    for label in range(3):
        own = SAMPLES.at((SAMPLES.targets == label).nonzero().flatten())
        taken = own.positions([i for i in chosen if i in set(own.ids)]).tolist()
        rows = ROWS[SAMPLES.positions(own.ids)]
        distances = torch.cdist(rows, rows)
        for size in range(1, 5):
            nearest = distances[:, taken[:size]].min(dim=1).values
            assert float(nearest[taken[size]]) == pytest.approx(float(nearest.max()), rel=1e-4)
    assert Prototypes(15, seed=1).choose(VIEW) != chosen


def test_herded_prototypes_keep_the_mean_of_their_class() -> None:
    chosen = Prototypes(15, how="herding").choose(VIEW)
    assert classes(chosen) == [5, 5, 5]
    for label in range(3):
        own = SAMPLES.at((SAMPLES.targets == label).nonzero().flatten())
        taken = own.positions([i for i in chosen if i in set(own.ids)]).tolist()
        rows = ROWS[SAMPLES.positions(own.ids)]
        mean = rows.mean(dim=0)
        for size in range(5):
            apart = {
                p: float((rows[[*taken[:size], p]].mean(dim=0) - mean).norm())
                for p in range(len(own))
                if p not in taken[:size]
            }
            assert taken[size] == min(apart, key=apart.__getitem__)


def test_a_smaller_budget_of_prototypes_takes_from_each_class_too() -> None:
    for count in (3, 4, 7, 15):
        assert max(classes(Prototypes(count).choose(VIEW))) - min(classes(Prototypes(count).choose(VIEW))) <= 1
        assert max(classes(Prototypes(15).choose(VIEW)[:count])) <= count // 3 + 1


def test_rare_subgroups_are_asked_for_whole_the_smallest_first() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0], [40.0, 40.0]])
    kind = torch.tensor([0] * 20 + [1] * 3 + [2] * 15 + [3] * 6)
    inputs = centres[kind] + 0.3 * torch.randn(44, 2, generator=generator)
    order = torch.randperm(44, generator=generator)
    samples = Samples(inputs[order], (kind[order] >= 2).long())
    view = BlindView(samples)
    asked = RareSubgroups(9, clusters=2).choose(view)
    assert [int(kind[order][p]) for p in samples.positions(asked)] == [1] * 3 + [3] * 6
    assert [int(kind[order][p]) for p in samples.positions(RareSubgroups(12, clusters=2).choose(view))][9:] == [2] * 3
    sizes = [len(group) for group in RareSubgroups(clusters=2).subgroups(view)]
    assert sizes == [3, 6, 15, 20]
    # More clusters than there are distinct inputs.
    copies = Samples(torch.tensor([[0.0], [0.0], [0.0], [5.0], [5.0], [9.0]]), torch.zeros(6, dtype=torch.long))
    assert [len(g) for g in RareSubgroups(clusters=10).subgroups(BlindView(copies))] == [1, 2, 3]


def test_whole_holdings_are_the_largest_first_or_the_named_one() -> None:
    ids = SAMPLES.ids
    owners = {**dict.fromkeys(ids[:4], "ann"), **dict.fromkeys(ids[10:20], "bob"), **dict.fromkeys(ids[30:37], "eve")}
    view = BlindView(SAMPLES, owners=owners)
    assert WholeHoldings(10).choose(view) == ids[10:20]
    assert WholeHoldings(13).choose(view) == ids[10:20] + ids[30:33]
    assert WholeHoldings(6, requester="ann").choose(view) == ids[:4] + ids[10:12]
    assert WholeHoldings(3, requester="eve").choose(view) == ids[30:33]
    with pytest.raises(BadInputError, match="whose the samples are; give the view owners="):
        WholeHoldings(3).choose(VIEW)
    with pytest.raises(BadInputError, match="2 problems") as told:
        WholeHoldings(22, requester="zoe").choose(view)
    assert "only 21 have a known owner" in str(told.value)
    assert "requester='zoe' owns none of the samples; there are 'ann', 'bob', 'eve'" in str(told.value)


@pytest.mark.parametrize(
    "adversary", [Outliers(9), Prototypes(9), Prototypes(9, how="herding"), RareSubgroups(9, clusters=2)], ids=repr
)
def test_a_tables_units_do_not_matter_and_pixels_keep_theirs(adversary: Outliers | Prototypes | RareSubgroups) -> None:
    units = torch.tensor([1.0, 1000.0, 0.001])
    other = Samples(SAMPLES.inputs * units + 7, SAMPLES.targets, SAMPLES.ids)
    assert adversary.choose(BlindView(other)) == adversary.choose(VIEW)
    stuck = Samples(torch.cat([SAMPLES.inputs, torch.ones(45, 1)], dim=1), SAMPLES.targets, SAMPLES.ids)
    assert adversary.choose(BlindView(stuck)) == adversary.choose(VIEW), "a column that never varies says nothing"
    pictures = Samples(SAMPLES.inputs.reshape(45, 1, 1, 3), SAMPLES.targets, SAMPLES.ids)
    assert torch.equal(raw(pictures), SAMPLES.inputs)
    tokens = Samples(torch.arange(12).reshape(4, 3), torch.tensor([0, 1, 0, 1]))
    with pytest.raises(BadInputError, match=r"inputs are torch\.int64: distances need"):
        type(adversary)(1).choose(BlindView(tokens))


def test_groups_give_their_shares() -> None:
    groups = by_class(torch.tensor([3, 0, 3, 3, 0, 7, 3, 3]), 8)
    assert [g.tolist() for g in groups] == [[1, 4], [0, 2, 3, 6, 7], [5]]
    for count in range(9):
        given = shares(groups, count)
        assert sum(given) == count
        assert all(0 <= n <= len(g) and abs(n - count * len(g) / 8) < 1 for n, g in zip(given, groups, strict=True))
    assert in_turn([torch.tensor([1, 2]), torch.tensor([5, 6, 7, 8])]).tolist() == [5, 1, 6, 7, 2, 8]


def test_settings_that_cannot_be() -> None:
    with pytest.raises(BadInputError, match="neighbours=0"):
        Outliers(neighbours=0)
    with pytest.raises(BadInputError, match="clusters=0"):
        RareSubgroups(clusters=0)
    with pytest.raises(BadInputError, match="'luck' must be one of 'k-center', 'herding'"):
        Prototypes(how="luck")  # type: ignore[arg-type]
