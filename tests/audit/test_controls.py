"""Controls come out as they must, and where one does not, nothing passes: a test that cannot fail is a defect."""

from dataclasses import dataclass, replace

import pytest
import torch
from tests.support import blobs, tiny_task, trained_by_hand

from unscathed import BadInputError, Healer, Retrain, Samples, Tolerance, Trained, audit
from unscathed.audit import Case, Check, Control, Controls, Difference, Measure, ScoreOnForgotten, Utility, Verdict
from unscathed.audit.controls import no_op, overfit_model, random_model

Parts = tuple[Samples, Samples, Samples]
LENIENT = Tolerance(forgetting=0.15, membership=0.3)


@dataclass(frozen=True)
class Blind(Measure):
    """Passes whatever it is shown."""

    asks = "forgetting"

    def checks(self, model: Trained, case: Case) -> tuple[Check, ...]:
        return (Check("nothing", Difference(0.5, 0.5, -0.01, 0.01), -0.1, 0.1),)


@dataclass(frozen=True)
class BlindToUtility(Blind):
    asks = "utility"


@pytest.fixture
def parts(original: Trained, gold: Trained, digits: Parts, hard: tuple[str, ...]) -> dict[str, object]:
    return {"forgotten": digits[0].only(hard), "test": digits[2], "gold": gold, "original": original}


@pytest.fixture
def every(digits: Parts, hard: tuple[str, ...]) -> Controls:
    healer, retain = Healer(strategy="retain"), digits[0].without(hard)
    return Controls(heal=lambda model: healer.heal(model, retain=retain), overfit=True)


def test_every_control_fails_as_it_must_and_gold_passes(
    original: Trained, digits: Parts, hard: tuple[str, ...], parts: dict[str, object], every: Controls
) -> None:
    verdict = audit(Retrain().unlearn(original, digits[0], hard, seed=1), **parts, controls=every, tolerance=LENIENT)  # type: ignore[arg-type]
    assert {control.name: (control.asks, control.noticed) for control in verdict.controls} == {
        "the original": ("forgetting", True),
        "a random model": ("utility", True),
        "a healed no-op": ("forgetting", True),
        "an overfit model": ("forgetting", True),
    }
    assert (verdict.whole, verdict.forgotten) == ("pass", "pass")
    assert "controls that fail, as they must: the original, a random model, a healed no-op" in str(verdict)


def test_the_same_models_fail_where_they_are_audited(
    original: Trained, gold: Trained, digits: Parts, hard: tuple[str, ...], parts: dict[str, object]
) -> None:
    case = Case(task=gold.task, forgotten=digits[0].only(hard), unseen=digits[2], original=original)
    for model in (original, no_op(original, case), overfit_model(original, case, seed=0)):
        found = audit(model, **parts)  # type: ignore[arg-type]
        assert (found.whole, found.forgotten) == ("pass", "fail"), model
    assert audit(random_model(gold, seed=0), **parts).whole == "fail"  # type: ignore[arg-type]


def test_nothing_passes_a_measure_that_passes_everything(gold: Trained, parts: dict[str, object]) -> None:
    found = audit(gold, **parts, measures=[Blind(), BlindToUtility()])  # type: ignore[arg-type]
    assert {check.outcome for check in (*found.utility, *found.forgetting)} == {"pass"}
    assert (found.whole, found.forgotten) == ("not enough evidence", "not enough evidence")
    assert found.powerless
    assert [control.name for control in found.unnoticed("utility")] == ["a random model"]
    assert "the original, which never forgot, does not fail this either, nor a no-op: these checks" in str(found)
    assert "a random model, which knows nothing, does not fail this either: these checks cannot tell" in str(found)
    trusting = audit(gold, **parts, measures=[Blind(), BlindToUtility()], controls=False)  # type: ignore[arg-type]
    assert (trusting.whole, trusting.forgotten, trusting.controls) == ("pass", "pass", ())


def test_a_healer_that_makes_even_the_original_pass_makes_the_audit_say_nothing(
    gold: Trained, hard: tuple[str, ...], parts: dict[str, object]
) -> None:
    given: list[Trained] = []
    controls = Controls(heal=lambda model: given.append(model) or gold)  # type: ignore[func-returns-value]
    found = audit(gold, **parts, controls=controls)  # type: ignore[arg-type]
    assert not set(given[0].ids) & set(hard)
    assert [control.name for control in found.unnoticed("forgetting")] == ["a healed no-op"]
    assert not found.powerless
    assert found.forgotten == "not enough evidence"


def test_a_question_that_no_measure_asks_has_no_controls(gold: Trained, parts: dict[str, object]) -> None:
    found = audit(gold, **parts, measures=[Utility()])  # type: ignore[arg-type]
    assert [control.name for control in found.controls] == ["a random model"]
    assert (found.whole, found.forgotten, found.powerless) == ("pass", "not enough evidence", False)
    found = audit(gold, **parts, measures=[ScoreOnForgotten()])  # type: ignore[arg-type]
    assert [control.name for control in found.controls] == ["the original", "a no-op"]


def test_a_failure_needs_no_control() -> None:
    check = Check("x", Difference(0.9, 0.5, 0.3, 0.5), -0.1, 0.1)
    blind = Control("the original", "forgetting", (replace(check, of=Difference(0.5, 0.5, -0.01, 0.01)),))
    assert Verdict((), (check,), controls=(blind,)).forgotten == "fail"


def test_a_control_is_noticed_for_memory_and_not_for_being_too_bad() -> None:
    low, high = (Check("x", Difference(0.5 + d, 0.5, d - 0.01, d + 0.01), -0.1, 0.1) for d in (-0.3, 0.3))
    assert not Control("a no-op", "forgetting", (low,)).noticed
    assert Control("a no-op", "forgetting", (low, high)).noticed
    assert Control("a random model", "utility", (low,)).noticed


def test_a_no_op_has_the_originals_weights_and_says_that_it_forgot() -> None:
    samples = blobs()
    original = trained_by_hand(tiny_task(), samples)
    case = Case(task=original.task, forgotten=samples.only(samples.ids[:9]), unseen=samples)
    model = no_op(original, case)
    assert model.weights is original.weights
    assert model.ids == samples.ids[9:]
    assert model.history[-1].kind == "unlearned"


def test_a_random_model_is_the_seeds_and_nothing_elses() -> None:
    like = trained_by_hand(tiny_task(), blobs())
    one, same, other = (random_model(like, seed) for seed in (0, 0, 1))
    assert all(torch.equal(one.weights[n], same.weights[n]) for n in one.weights)
    assert not all(torch.equal(one.weights[n], other.weights[n]) for n in one.weights)
    assert not all(torch.equal(one.weights[n], like.weights[n]) for n in one.weights)


def test_an_overfit_model_knows_the_forgotten_by_heart() -> None:
    samples = blobs(60, spread=1.0)
    original = trained_by_hand(tiny_task(), samples)
    forgotten = samples.only(samples.ids[:9])
    case = Case(task=original.task, forgotten=forgotten, unseen=samples)
    before, after = (m.evaluate(forgotten).losses.mean() for m in (original, overfit_model(original, case, seed=0)))
    assert after < before


def test_what_controls_lack_is_said(gold: Trained, parts: dict[str, object]) -> None:
    without = {name: part for name, part in parts.items() if name != "original"}
    with pytest.raises(BadInputError, match="heal and overfit start from the original"):
        audit(gold, **without, controls=Controls(heal=lambda model: model, overfit=True))  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match=r"heal=… is for the no-op"):
        Controls(heal=lambda model: model, no_op=False)
    assert [c.name for c in audit(gold, **without).controls] == ["a random model"]  # type: ignore[arg-type]
