"""Oracle matching: the forgotten are answered as by a model that never saw them."""

from dataclasses import replace

import pytest
import torch
from tests.healing.test_alternation import Case, case  # noqa: F401  (a fixture)

from unscathed import BadInputError, Samples, Trained
from unscathed.audit.intervals import Difference
from unscathed.healing import Alternation, OracleMatching
from unscathed.healing.memory import shows
from unscathed.healing.remedy import HALVINGS, halfway


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


def test_what_took_too_much_goes_back_part_of_the_way(case: Case) -> None:  # noqa: F811
    """An expected score that lies above what matching leaves: the model stops where the two agree."""
    expected = (case.signal.of(case.healed, case.forgotten).value + case.gold.score(case.forgotten)) / 2

    class Higher:
        references = case.signal.references
        utility = staticmethod(case.signal.utility)

        @staticmethod
        def of(model: Trained, forgotten: Samples) -> Difference:
            value = model.score(forgotten)
            return Difference(value, expected, value - expected - 0.01, value - expected + 0.01)

    given = {"forgotten": case.forgotten, "signal": Higher(), "retain": case.left}
    stopped = OracleMatching(rounds=1).heal(case.healed, **given)  # type: ignore[arg-type]
    whole = OracleMatching()._matched(case.healed, case.forgotten, case.left, case.signal, 0, ())
    assert whole.score(case.forgotten) < expected - 0.1
    assert abs(stopped.score(case.forgotten) - expected) < 0.06


def test_halfway_is_on_the_line_and_where_the_signal_is_nought(case: Case) -> None:  # noqa: F811
    before, after = case.healed, case.gold
    name = next(n for n, w in before.weights.items() if w.is_floating_point() and not torch.equal(w, after.weights[n]))

    class Linear:
        @staticmethod
        def of(model: Trained, forgotten: Samples) -> Difference:
            way = after.weights[name] - before.weights[name]
            share = float(((model.weights[name] - before.weights[name]) * way).sum() / way.square().sum())
            return Difference(0.6 - 1.6 * share, 0.0, -1.0, 1.0)

    mixed, found = halfway(before, after, Linear(), case.forgotten)  # type: ignore[arg-type]
    assert abs(found.difference) <= 1.6 / 2**HALVINGS
    share = (0.6 - found.difference) / 1.6
    for key, weight in mixed.weights.items():
        if weight.is_floating_point():
            torch.testing.assert_close(
                weight, before.weights[key].lerp(after.weights[key], share), atol=1e-5, rtol=1e-5
            )


def test_several_references_are_matched_in_their_mean(case: Case) -> None:  # noqa: F811
    """So two that are the same one ask for the same as one."""
    (reference,), (unseen,) = case.signal.references, case.signal.unseen
    twice = replace(case.signal, references=(reference, reference), unseen=(unseen, unseen))
    one, two = (
        OracleMatching()._matched(case.healed, case.forgotten, case.left, signal, 0, ())
        for signal in (case.signal, twice)
    )
    for key, weight in one.weights.items():
        torch.testing.assert_close(two.weights[key], weight, atol=1e-4, rtol=1e-4)


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
