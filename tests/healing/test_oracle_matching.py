"""Oracle matching: the forgotten are answered as by a model that never saw them."""

from dataclasses import replace

import pytest
import torch
from tests.healing.test_alternation import Case, case  # noqa: F401  (a fixture)

from unscathed import BadInputError, Samples
from unscathed.healing import Alternation, OracleMatching
from unscathed.healing.memory import shows


def test_margins_become_those_of_gold_more_than_by_turns(case: Case) -> None:  # noqa: F811
    """Not only as many forgotten samples are right as gold has right: they are the same ones."""
    given = {"forgotten": case.forgotten, "signal": case.signal, "retain": case.left}
    matched = OracleMatching().heal(case.healed, **given)  # type: ignore[arg-type]
    turned = Alternation().heal(case.healed, **given)  # type: ignore[arg-type]
    gold = case.gold.evaluate(case.forgotten).margins

    def apart(margins: torch.Tensor) -> float:
        return float((margins - gold).abs().mean())

    ours, theirs, before = (apart(m.evaluate(case.forgotten).margins) for m in (matched, turned, case.healed))
    assert ours < 0.8 * before
    assert ours < theirs
    assert matched.score(case.test) > case.healed.score(case.test) - 0.04
    assert not shows(case.signal.of(matched, case.forgotten), matched.task, 0.02)

    event = matched.history[-1]
    assert matched.history[:-1] == case.healed.history, "all rounds are one event"
    assert event.details["forgotten"] is True
    assert event.details["turns"] == len(event.details["memory"]) - 1 == 1
    assert 0 < event.steps <= 0.4 * case.healed.history[0].steps
    assert matched.ids == case.healed.ids, "the forgotten do not come back in"


def test_gold_is_left_as_it_is(case: Case) -> None:  # noqa: F811
    gold = case.gold
    kept = OracleMatching().heal(gold, forgotten=case.forgotten, signal=case.signal, retain=case.left)
    assert all(torch.equal(kept.weights[n], gold.weights[n]) for n in gold.weights)
    assert kept.history[-1].steps == kept.history[-1].samples == kept.history[-1].details["turns"] == 0


def test_labels_of_the_forgotten_are_not_learned(case: Case) -> None:  # noqa: F811
    """Only the reference's answers are: with other labels, the same model comes out."""

    def matched(forgotten: Samples) -> dict[str, torch.Tensor]:
        made = OracleMatching()._matched(case.healed, forgotten, case.left, case.signal, 0, ())
        return dict(made.weights)

    of = case.forgotten
    wrong = Samples(of.inputs, (of.targets + 1) % 10, of.ids, classes=of.classes)
    ours, theirs = matched(of), matched(wrong)
    assert all(torch.equal(ours[n], theirs[n]) for n in ours)
    assert not all(torch.equal(ours[n], case.healed.weights[n]) for n in ours)


def test_a_round_that_costs_too_much_is_not_kept(case: Case) -> None:  # noqa: F811
    kept = OracleMatching(utility=0.0, learning_rate=30.0).heal(
        case.healed, forgotten=case.forgotten, signal=case.signal, retain=case.left
    )
    assert all(torch.equal(kept.weights[n], case.healed.weights[n]) for n in kept.weights)
    assert kept.history[-1].details["forgotten"] is False
    assert kept.history[-1].details["turns"] == 0
    assert kept.history[-1].steps > 0, "it was made, and is paid for"


def test_few_forgotten_samples_go_along_with_a_share_of_the_retained(case: Case) -> None:  # noqa: F811
    """Or the model would learn the few retained ones beside them by heart."""
    few = case.forgotten.at(torch.arange(3))
    made = OracleMatching()._matched(case.healed, few, case.left, case.signal, 0, ())
    assert made.history[-1].samples == len(few) + round(0.3 * len(case.left))
    assert made.score(case.test) > case.healed.score(case.test) - 0.03


def test_all_that_is_wrong_is_named(case: Case) -> None:  # noqa: F811
    with pytest.raises(BadInputError) as caught:
        OracleMatching(rounds=0, share=0, retained=-1, learning_rate=0, tolerance=-1, utility=-1)
    assert len(caught.value.problems) == 6
    sharded = replace(case.healed, history=())
    with pytest.raises(BadInputError, match="no history"):
        OracleMatching().heal(sharded, forgotten=case.forgotten, signal=case.signal, retain=case.left)
