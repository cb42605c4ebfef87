"""The audit's controls: each must come out as it should, or no verdict is worth anything."""

import warnings
from dataclasses import replace

import pytest
import torch
from tests.support import NoOp, RandomWeights, Ridge, blobs, tiny_task, trained_by_hand

from unscathed import BadInputError, Recipe, Retrain, Samples, Tolerance, Trained, audit, fit
from unscathed.audit import PopulationMembership, Relearning, ScoreOnForgotten, Utility

Parts = tuple[Samples, Samples, Samples]


def test_gold_of_another_seed_is_whole_and_has_forgotten(
    original: Trained, gold: Trained, digits: Parts, hard: tuple[str, ...]
) -> None:
    other = Retrain().unlearn(original, digits[0], hard, seed=1)
    verdict = audit(
        other, forgotten=digits[0].only(hard), test=digits[2], gold=gold, tolerance=Tolerance(forgetting=0.15)
    )
    assert verdict.whole != "fail"
    assert verdict.forgotten != "fail"


def test_the_original_is_whole_and_has_not_forgotten(
    original: Trained, gold: Trained, digits: Parts, hard: tuple[str, ...]
) -> None:
    verdict = audit(original, forgotten=digits[0].only(hard), test=digits[2], gold=gold)
    assert verdict.whole == "pass"
    assert verdict.forgotten == "fail"


def test_an_unlearner_that_did_nothing_has_not_forgotten(
    original: Trained, gold: Trained, digits: Parts, hard: tuple[str, ...]
) -> None:
    unlearned = NoOp().unlearn(original, digits[0], hard)
    verdict = audit(unlearned, forgotten=digits[0].only(hard), test=digits[2], gold=gold)
    assert verdict.forgotten == "fail"


def test_random_weights_are_not_whole_and_are_suspiciously_bad_on_the_forgotten(
    original: Trained, gold: Trained, digits: Parts, hard: tuple[str, ...]
) -> None:
    unlearned = RandomWeights().unlearn(original, digits[0], hard)
    verdict = audit(unlearned, forgotten=digits[0].only(hard), test=digits[2], gold=gold)
    assert verdict.whole == "fail"
    assert verdict.forgotten == "fail"
    assert verdict.forgetting[0].of.difference < 0


def test_an_overfit_model_fails_membership_without_gold(digits: Parts) -> None:
    """Without gold, unseen samples stand for never seen: a model that knows its samples by heart is caught."""
    samples, spares, _ = digits
    generator = torch.Generator().manual_seed(0)
    few = samples.only(samples.ids[:300])
    # Labels at random can only be learned by heart.
    mislabelled = Samples(few.inputs, torch.randint(0, 10, (300,), generator=generator), few.ids)
    other = samples.only(samples.ids[300:600])
    unseen = Samples(other.inputs, torch.randint(0, 10, (300,), generator=generator), other.ids)
    overfit = fit(digit_task(), mislabelled, Recipe(epochs=150, batch_size=64), seed=0)
    assert overfit.score(mislabelled) > 0.95
    verdict = audit(overfit, forgotten=mislabelled, unseen=unseen)
    assert verdict.forgotten == "fail"
    assert "There is no gold here" in str(verdict)
    honest = audit(overfit, forgotten=unseen, unseen=Samples(spares.inputs, spares.targets, spares.ids))
    assert honest.forgotten != "fail"


def digit_task():  # type: ignore[no-untyped-def]
    from tests.support import digit_setup

    return digit_setup().task


def test_losing_one_class_is_not_hidden_by_the_others(
    original: Trained, gold: Trained, digits: Parts, hard: tuple[str, ...]
) -> None:
    with torch.no_grad():
        name = [n for n in original.weights if n.endswith("bias")][-1]
        bias = original.weights[name].clone()
        bias[3] -= 100
    blind_to_three = replace(original, weights={**original.weights, name: bias})
    verdict = audit(
        blind_to_three, forgotten=digits[0].only(hard), test=digits[2], gold=gold, tolerance=Tolerance(utility=0.5)
    )
    assert verdict.utility[0].outcome == "pass", "over all classes, the tolerance hides it"
    assert verdict.whole == "fail"
    assert "✗ class 3" in str(verdict)


def test_a_model_is_compared_with_its_own_way_of_training(
    original: Trained, gold: Trained, digits: Parts, hard: tuple[str, ...]
) -> None:
    weaker = RandomWeights().unlearn(original, digits[0], hard)
    verdict = audit(weaker, forgotten=digits[0].only(hard), test=digits[2], gold=gold, same_procedure=weaker)
    assert verdict.whole == "fail"
    assert verdict.forgotten == "pass"
    assert "its own retraining" in str(verdict)


def test_nothing_passes_checks_that_do_not_find_the_originals_memory(
    original: Trained, gold: Trained, digits: Parts, hard: tuple[str, ...]
) -> None:
    samples, _, test = digits
    found = audit(gold, forgotten=samples.only(hard), test=test, gold=gold, original=original)
    assert found.forgotten == "pass"
    assert not found.powerless
    # Samples that any model knows: gold is as sure of them as the original, so they tell nothing.
    easy = samples.only(samples.ids[:100]).without([i for i in samples.ids[:100] if i in hard])
    other = Retrain().unlearn(original, samples, easy.ids)
    hidden = audit(other, forgotten=easy, test=test, gold=other, original=original)
    assert hidden.powerless
    assert hidden.forgotten == "not enough evidence"
    assert "the original, which never forgot, does not fail this either" in str(hidden)
    assert audit(other, forgotten=easy, test=test, gold=other).forgotten == "pass", "without a control, as before"


def test_gold_that_is_no_gold_and_missing_parts_are_refused(original: Trained, digits: Parts) -> None:
    samples, spares, test = digits
    forgotten = samples.only(samples.ids[:5])
    with pytest.raises(BadInputError, match="gold was trained on 5 of the forgotten"):
        audit(original, forgotten=forgotten, test=test, gold=original)
    with pytest.raises(BadInputError) as caught:
        audit(original, forgotten=samples.only([]), test=test)
    assert "3 problems" in str(caught.value)
    assert audit(original, forgotten=forgotten, unseen=spares).whole == "not enough evidence"


def test_tasks_without_classes_are_audited_too() -> None:
    inputs = torch.randn(80, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    samples = Samples(inputs, inputs.sum(1), range(80))
    model = trained_by_hand(Ridge(3), samples.only(range(40)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = audit(model, forgotten=samples.only(range(40, 60)), test=samples.only(range(60, 80)), gold=model)
    assert (verdict.whole, len(verdict.utility)) == ("not enough evidence", 1)
    assert "%" not in str(verdict).replace("80 % power", "")


def test_tolerances_are_shares_of_the_range_of_scores() -> None:
    task, samples = tiny_task(), blobs(30)
    trained = trained_by_hand(task, samples)
    parts = {"forgotten": samples.only(samples.ids[:9]), "test": blobs(30, seed=1)}
    gold = trained_by_hand(task, samples.only(samples.ids[9:]))
    bounds = []
    for unit in (1.0, 4.0):
        task.score_range = unit
        verdict = audit(trained, gold=gold, **parts)
        bounds.append([c.lowest or c.highest for c in (*verdict.utility[:2], *verdict.forgetting)])
    assert bounds == [[-0.02, -0.05, -0.05, -0.05], [-0.08, -0.2, -0.2, -0.05]]


def test_both_golds_are_told_and_the_law_speaks_of_the_first(
    original: Trained, gold: Trained, digits: Parts, hard: tuple[str, ...]
) -> None:
    samples, spares, test = digits
    with_twins = fit(gold.task, samples.without(hard) + spares, gold.recipe, seed=0)
    parts = {"forgotten": samples.only(hard), "test": test, "gold": gold, "original": original}
    verdict = audit(with_twins, gold_with_twins=with_twins, **parts)
    assert verdict.with_twins is not None
    assert verdict.with_twins.forgotten == "pass", "it is compared with itself"
    assert verdict.with_twins.forgetting[0].of.difference == 0
    assert verdict.forgetting[0].of.reference == gold.score(parts["forgotten"])
    assert verdict.forgotten == audit(with_twins, **parts).forgotten
    assert "against gold with the twins" in str(verdict)
    with pytest.raises(BadInputError, match="gold_with_twins was trained on 129 of the forgotten"):
        audit(gold, gold_with_twins=original, **parts)


def test_checks_know_what_the_original_remembers(
    original: Trained, gold: Trained, digits: Parts, hard: tuple[str, ...]
) -> None:
    parts = {"forgotten": digits[0].only(hard), "test": digits[2], "gold": gold, "original": original}
    verdict = audit(gold, **parts)
    assert [check.memory for check in verdict.forgetting] == [check.of.difference for check in verdict.control]
    seen = verdict.forgetting[0].detectable_memory
    assert seen is not None
    assert 0.1 < seen < 1
    assert "of the original's memory" in str(verdict)
    assert [check.memory for check in audit(gold, **parts, controls=False).forgetting] == [None, None]


def test_what_was_trained_on_is_not_unseen(original: Trained, gold: Trained, digits: Parts) -> None:
    samples, spares, _ = digits
    with_twins = replace(gold, ids=(*gold.ids, *spares.ids[:3]))
    with pytest.raises(BadInputError) as caught:
        audit(original, forgotten=samples.only(samples.ids[:5]), unseen=spares + samples.only(gold.ids[-7:]))
    assert caught.value.problems == ("7 of the unseen samples were trained on by the model; leave them out",)
    forgotten = samples.only([i for i in samples.ids if i not in gold.ids])
    with pytest.raises(BadInputError, match="3 of the unseen samples were trained on by gold_with_twins"):
        audit(gold, forgotten=forgotten, unseen=spares, gold=gold, gold_with_twins=with_twins)


def test_measures_are_asked_in_order_and_weak_ones_are_marked(
    gold: Trained, digits: Parts, hard: tuple[str, ...]
) -> None:
    parts = {"forgotten": digits[0].only(hard), "test": digits[2], "gold": gold}
    verdict = audit(gold, **parts, measures=[PopulationMembership(), ScoreOnForgotten()])
    assert [(check.name, check.weak) for check in verdict.forgetting] == [
        ("membership AUC", True),
        ("score on the forgotten", False),
    ]
    assert verdict.utility == ()
    assert verdict.whole == "not enough evidence"
    with pytest.raises(BadInputError, match="needs the original") as caught:
        audit(gold, **parts, measures=[Relearning(), Utility(), Relearning(seed=1)])
    assert len(caught.value.problems) == 1, "two measures that miss the same name it once"
