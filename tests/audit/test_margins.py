"""KLOM as an audit's measure: of gold from gold, of models that never forgot, and of what is no gold."""

from dataclasses import dataclass

import pytest
import torch
from tests.support import REMEMBERING, RandomWeights, noisy_blobs, remembering_task

from unscathed import BadInputError, Samples, Trained, audit, fit
from unscathed.adversaries import plant_canaries
from unscathed.audit import Margins, Verdict, compare_klom

SAMPLES, CANARIES = plant_canaries(noisy_blobs(), 8)
TEST = Samples(SAMPLES.inputs[:40] + 0.1, SAMPLES.targets[:40], range(40))
RETAIN = SAMPLES.without(CANARIES)


@dataclass(frozen=True)
class Models:
    originals: tuple[Trained, ...]
    golds: tuple[Trained, ...]
    others: tuple[Trained, ...]


@pytest.fixture(scope="module")
def models() -> Models:
    def fitted(samples: Samples, seeds: range) -> tuple[Trained, ...]:
        return tuple(fit(remembering_task(), samples, REMEMBERING.lasting(epochs=20), seed=seed) for seed in seeds)

    return Models(fitted(SAMPLES, range(8)), fitted(RETAIN, range(100, 116)), fitted(RETAIN, range(200, 208)))


def judged(models: tuple[Trained, ...], of: Models) -> Verdict:
    measure = Margins(models=models, golds=of.golds, originals=of.originals)
    return audit(
        models[0],
        forgotten=SAMPLES.only(CANARIES),
        test=TEST,
        retain=RETAIN,
        gold=of.golds[0],
        original=of.originals[0],
        measures=[measure],
    )


def test_gold_of_other_seeds_is_as_far_from_gold_as_gold_is(models: Models) -> None:
    verdict = judged(models.others, models)
    forgotten, test, retained = verdict.forgetting
    assert [c.name for c in verdict.forgetting] == [
        "KLOM on the forgotten",
        "KLOM on test samples",
        "KLOM on retained samples",
    ]
    assert forgotten.outcome != "fail"
    for check in verdict.forgetting:
        assert 0.1 < check.of.value < 1.6 * check.of.reference
    assert test.highest is retained.highest is None, "told, not judged"
    assert forgotten.highest == pytest.approx(0.5 * forgotten.of.reference)
    assert "8 models a side, 4 bins" in forgotten.remark
    golds = torch.stack([gold.evaluate(SAMPLES.only(CANARIES)).margins for gold in models.golds])
    ours = torch.stack([model.evaluate(SAMPLES.only(CANARIES)).margins for model in models.others])
    expected = compare_klom(ours, golds)
    assert forgotten.of.value == pytest.approx(float(expected.values.mean()))
    assert forgotten.of.reference == pytest.approx(float(expected.floor.mean()))


def test_models_that_never_forgot_fail_and_so_does_the_control(models: Models) -> None:
    verdict = judged(models.originals, models)
    assert verdict.forgetting[0].outcome == "fail"
    assert verdict.forgetting[0].of.value > 3 * verdict.forgetting[0].of.reference
    assert verdict.forgotten == "fail"
    # The originals stand for the original, and for one that only says that it forgot.
    tried = {control.name: control.noticed for control in judged(models.others, models).controls}
    assert tried == {"the original": True, "a no-op": True}


def test_of_a_model_that_is_in_no_set_nothing_is_known(models: Models) -> None:
    measure = Margins(models=models.others, golds=models.golds)
    random = RandomWeights().unlearn(models.originals[0], SAMPLES, CANARIES)
    verdict = audit(random, forgotten=SAMPLES.only(CANARIES), test=TEST, gold=models.golds[0], measures=[measure])
    assert [check.outcome for check in verdict.forgetting] == ["not enough evidence", "pass"]
    assert verdict.forgotten == "not enough evidence"
    assert "no other models were made like this one" in str(verdict)
    assert verdict.to_json()["forgetting"][0]["value"] is None


def test_what_is_missing_or_no_gold_is_named(models: Models) -> None:
    measure = Margins(
        models=(models.others[0],) * 2,
        golds=(models.originals[0], *models.golds[:2]),
        originals=models.originals[:1],
        ratio=1,
    )
    with pytest.raises(BadInputError) as raised:
        audit(models.others[0], forgotten=SAMPLES.only(CANARIES), test=TEST, gold=models.golds[0], measures=[measure])
    for words in (
        "at least 4 golds, and there are 3",
        "at least 2 originals, and there are 1",
        "1 of 3 golds were trained on forgotten samples",
        "some of models are the same model",
        "ratio=1 must be above 1",
    ):
        assert words in str(raised.value)
    measure = Margins(models=models.others, golds=models.golds[1:])
    with pytest.raises(BadInputError, match="is not among golds"):
        audit(models.others[0], forgotten=SAMPLES.only(CANARIES), test=TEST, gold=models.golds[0], measures=[measure])
