import pytest
import torch
from tests.support import Crowd

from unscathed import BadInputError, Healer, SpareSet
from unscathed.adversaries import Mislabelled
from unscathed.reserve import Stock
from unscathed.reserve.screens import ContributorQuota, Hubness, NeighbourAgreement, Screening, screen


def test_what_is_flagged_is_nobody_s_twin_until_it_is_released(crowd: Crowd) -> None:
    forget = crowd.samples.at(torch.arange(80))
    reserve = SpareSet(crowd.spares, radius=0.0)
    chosen = set(reserve.match(forget, crowd.trained).spare_of.values())
    found = screen(reserve, crowd.trained, lose=0.1)
    assert found.quarantined
    assert set(found.quarantined) & chosen, "else this shows nothing"
    assert len(reserve) == len(crowd.spares) - len(found.quarantined)
    assert not set(found.quarantined) & set(reserve.match(forget, crowd.trained).spare_of.values())
    with pytest.raises(BadInputError, match="quarantined"):
        reserve.spend(found.quarantined[:1])
    reserve.stock.release(found.quarantined)
    assert len(reserve) == len(crowd.spares)
    assert set(reserve.match(forget, crowd.trained).spare_of.values()) == chosen


def test_poison_is_set_aside_and_the_record_says_why(crowd: Crowd, tmp_path: object) -> None:
    poisoned, ids = Mislabelled(share=0.05).poison(crowd.spares)
    stock = Stock(tmp_path / "stock.sqlite")  # type: ignore[operator]
    reserve = SpareSet(poisoned, stock=stock)
    found = screen(reserve, crowd.trained, lose=0.05)
    assert len(set(found.quarantined) & set(ids)) > 0.8 * len(ids)
    assert set(stock.gone) == set(found.quarantined)
    for spare, screens in found.reasons.items():
        fate, request, *_ = stock.gone[spare]
        assert fate == "quarantined"
        assert request == "flagged by " + ", ".join(screens)
    both = [s for s in found.reasons.values() if len(s) > 1]
    assert both, "some are suspected by several"
    for name, flagged in found.flagged.items():
        assert all(name in found.reasons[i] for i in flagged)


def test_clean_reserves_lose_no_more_than_was_said(crowd: Crowd) -> None:
    for lose in (0.0, 0.01, 0.05):
        reserve = SpareSet(crowd.spares)
        found = screen(reserve, crowd.trained, lose=lose)
        assert all(len(flagged) <= lose * len(crowd.spares) for flagged in found.flagged.values())
        assert len(reserve) >= (1 - 4 * lose) * len(crowd.spares)


def test_only_spares_at_hand_are_screened(crowd: Crowd) -> None:
    reserve = SpareSet(crowd.spares)
    first = screen(reserve, crowd.trained, [NeighbourAgreement()], lose=0.02)
    second = screen(reserve, crowd.trained, [NeighbourAgreement()], lose=0.02)
    assert len(second.ids) == len(crowd.spares) - len(first.quarantined)
    assert not set(first.quarantined) & set(second.quarantined)


def test_contributors_are_named_by_spare(crowd: Crowd) -> None:
    reserve = SpareSet(crowd.spares)
    owner = {i: "mallory" if n % 4 == 0 else i for n, i in enumerate(crowd.spares.ids)}
    found = screen(reserve, crowd.trained, [ContributorQuota(quota=0.02), Hubness()], contributors=owner)
    flagged = found.flagged[repr(ContributorQuota(quota=0.02))]
    assert len(flagged) == 144 - 11
    assert {owner[i] for i in flagged} == {"mallory"}


def test_the_table() -> None:
    found = Screening(ids=("a", "b", "c", "d"), scores={}, flagged={"First()": ("a", "b", "d"), "Second()": ("b",)})
    assert found.quarantined == ("a", "b", "d")
    assert found.reasons["b"] == ("First()", "Second()")
    lines = [line.split() for line in str(found).splitlines()]
    assert lines[0] == ["screen", "flagged", "it", "alone"]
    assert lines[1] == ["First()", "3", "2"]
    assert lines[2] == ["Second()", "1", "0"]
    assert lines[3] == ["all", "together", "3", "of", "4", "spares"]


def test_a_screened_reserve_heals(crowd: Crowd) -> None:
    reserve = SpareSet(crowd.spares)
    screen(reserve, crowd.trained, lose=0.05)
    twins = reserve.match(crowd.samples.at(torch.arange(20)), crowd.trained)
    healed = Healer(strategy="twins", steps=2).heal(crowd.trained, twins=twins.samples)
    assert set(twins.spare_of.values()) <= set(healed.ids)


def test_what_cannot_be_screened(crowd: Crowd) -> None:
    reserve = SpareSet(crowd.spares)
    with pytest.raises(BadInputError) as caught:
        screen(reserve, crowd.trained, [], lose=2, contributors={})
    assert "no screens" in str(caught.value)
    assert "lose=2" in str(caught.value)
    assert "575 spares have no contributor" in str(caught.value)
    with pytest.raises(BadInputError, match="given twice"):
        screen(reserve, crowd.trained, [Hubness(), Hubness()])
    with pytest.raises(BadInputError, match="who contributed"):
        screen(reserve, crowd.trained, [Hubness(), ContributorQuota()])
    assert len(reserve) == 575, "nothing is set aside where anything is wrong"
