from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn

from tests.support import NoOp, digit_setup
from unscathed import (
    BadInputError,
    Callback,
    CertifiedRemoval,
    ClassificationTask,
    Consolidation,
    Fisher,
    Healer,
    Influence,
    NeedsReviewError,
    Outcome,
    ReserveExhaustedError,
    Retrain,
    SaferRoad,
    Samples,
    Sisa,
    SpareSet,
    Steward,
    Trained,
    Unlearner,
    Until,
)  # fmt: skip
from unscathed.adversaries import BlindView, OutputAware, Random
from unscathed.screening import ClassConcentration, Triage, Wanted

Parts = tuple[Samples, Samples, Samples]


@pytest.fixture
def steward(original: Trained, digits: Parts, reserve: SpareSet) -> Steward:
    return Steward(original, digits[0], reserve, unlearner=Influence(), healer=Healer(), test=digits[2])


def state(steward: Steward) -> tuple[object, ...]:
    return steward.trained, steward.samples.ids, steward.reserve.spent


def test_one_call_unlearns_heals_and_audits(
    steward: Steward, original: Trained, gold: Trained, hard: tuple[str, ...], digits: Parts
) -> None:
    outcome = steward.forget(hard, gold=gold)
    assert isinstance(outcome, Outcome)
    assert [e.kind for e in outcome.history] == ["fitted", "unlearned", "healed"]
    assert outcome.verdict.whole == "pass"
    assert outcome.verdict.utility_reference == "gold"
    assert steward.trained is outcome.trained
    assert outcome.twins is not None
    assert set(steward.reserve.spent) == set(outcome.twins.spare_of.values())
    assert set(steward.samples.ids) == set(outcome.trained.ids)
    assert not set(hard) & set(steward.samples.ids)
    assert outcome.trained.score(digits[2]) > 0.9


def test_without_gold_the_verdict_rests_on_spares_while_few_are_spent_then_on_test_samples(
    steward: Steward, digits: Parts
) -> None:
    outcome = steward.forget(digits[0].ids[:5])
    assert outcome.twins is not None
    left = 144 - len(outcome.twins.fresh) - len(outcome.twins.refused)
    assert f"There is no gold here: the verdict rests on {left} samples" in str(outcome.verdict)
    assert outcome.verdict.utility_reference == "the original"
    later = steward.forget(digits[0].ids[5:20])
    assert f"the verdict rests on {len(digits[2])} samples" in str(later.verdict)


def test_without_test_samples_it_rests_on_what_matching_left_and_says_when_that_is_not_fair(
    steward: Steward, digits: Parts
) -> None:
    """Matching takes typical spares: what it leaves are no fair sample, once that is many."""
    steward.test = None
    outcome = steward.forget(digits[0].ids[:5])
    assert outcome.twins is not None
    left = 144 - len(outcome.twins.fresh) - len(outcome.twins.refused)
    assert f"the verdict rests on {left} samples" in str(outcome.verdict)
    assert "less typical" not in str(outcome.verdict)
    assert "less typical" in str(steward.forget(digits[0].ids[5:20]).verdict)


def test_samples_that_are_never_matched_may_be_given(original: Trained, digits: Parts) -> None:
    spares, unseen = digits[1].split(reserve=0.5, seed=0)
    parts: dict[str, Any] = {"unlearner": Influence(), "healer": Healer(), "test": digits[2]}
    steward = Steward(original, digits[0], SpareSet(spares), unseen=unseen, **parts)
    outcome = steward.forget(digits[0].ids[:20])
    assert f"the verdict rests on {len(unseen)} samples" in str(outcome.verdict)
    with pytest.raises(BadInputError, match=r"72 of unseen are training samples or spares \(.*\); leave them out"):
        Steward(original, digits[0], SpareSet(digits[1]), unseen=unseen, **parts)
    with pytest.raises(BadInputError, match="unseen has no samples"):
        Steward(original, digits[0], SpareSet(spares), unseen=unseen.only([]), **parts)
    # A healer that looks at held-out samples looks at these, where it has no others.
    stopping = {**parts, "healer": Healer(until=Until(first=0.05, ceiling=0.1)), "test": None}
    last = SpareSet(spares.only(spares.ids[:3]), shortfall="partial", across_classes=True)
    outcome = Steward(original, digits[0], last, unseen=unseen, **stopping).forget(digits[0].ids[:20])
    assert "rounds" in outcome.history[-1].details


def test_requests_follow_each_other_and_twins_can_be_asked_for(steward: Steward, digits: Parts) -> None:
    first = steward.forget(digits[0].ids[:10])
    assert first.twins is not None
    twin = next(iter(first.twins.spare_of.values()))
    second = steward.forget([twin, digits[0].ids[30]])
    assert [e.kind for e in second.history] == ["fitted", "unlearned", "healed", "unlearned", "healed"]
    assert twin not in second.trained.ids
    assert len(steward.reserve.spent) == 12
    with pytest.raises(BadInputError, match="unknown"):
        steward.forget([digits[0].ids[0]])


def test_nothing_changes_when_a_step_fails(steward: Steward, digits: Parts) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Failing(Unlearner):
        def _unlearn(
            self, trained: Trained, samples: Samples, forget: list[str], seed: int, callbacks: Sequence[Callback]
        ) -> Trained:
            raise RuntimeError("out of memory")

    class FailingHealer(Healer):
        def heal(self, *args: object, **kwargs: object) -> Trained:
            raise RuntimeError("disk full")

    before = state(steward)
    steward.unlearner = Failing()
    with pytest.raises(RuntimeError, match="out of memory"):
        steward.forget(digits[0].ids[:5])
    steward.unlearner, steward.healer = Influence(), FailingHealer()
    with pytest.raises(RuntimeError, match="disk full"):
        steward.forget(digits[0].ids[:5])
    assert state(steward) == before


def test_bad_requests_and_an_exhausted_reserve_are_refused_before_any_work(
    original: Trained, digits: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    steward = Steward(original, digits[0], SpareSet(digits[1]), unlearner=Fisher(), healer=Healer())
    monkeypatch.setattr(Fisher, "_unlearn", lambda *_: pytest.fail("work was started"))
    before = state(steward)
    with pytest.raises(BadInputError, match="empty"):
        steward.forget([])
    with pytest.raises(BadInputError, match="unknown"):
        steward.forget(["nobody"])
    with pytest.raises(ReserveExhaustedError, match="300 twins were asked for"):
        steward.forget(digits[0].ids[:300])
    steward.reserve = SpareSet(digits[1], shortfall="partial")
    with pytest.raises(BadInputError, match="would spend the last spares"):
        steward.forget(digits[0].ids[:1200])
    of_one_class = [i for i, c in zip(digits[0].ids, digits[0].targets.tolist(), strict=True) if c == 3][:65]
    with pytest.raises(BadInputError, match="would spend the last spares of the forgotten samples' classes"):
        steward.forget(of_one_class)
    assert state(steward) == (before[0], before[1], ())


def test_test_samples_stand_in_for_spares_of_a_class_that_is_used_up(
    original: Trained, digits: Parts, reserve: SpareSet
) -> None:
    steward = Steward(original, digits[0], reserve, unlearner=Influence(), healer=Healer(), test=digits[2])
    of_one_class = [i for i, c in zip(digits[0].ids, digits[0].targets.tolist(), strict=True) if c == 3][:65]
    outcome = steward.forget(of_one_class)
    assert f"rests on {len(digits[2])} samples" in str(outcome.verdict)


def test_copies_under_other_ids_are_reported(original: Trained, digits: Parts, reserve: SpareSet) -> None:
    samples = digits[0]
    one = samples.only(samples.ids[:1])
    # The same content under another id, as if it had been trained on too.
    doubled = samples + Samples(one.inputs, one.targets, ["copy"])
    trained = replace(original, ids=doubled.ids)
    steward = Steward(trained, doubled, reserve, unlearner=Fisher(), healer=Healer())
    with pytest.warns(UserWarning, match=r"1 of the forgotten have exact copies .*'copy'"):
        steward.forget(one.ids)


def test_a_sharded_model_is_served_as_well(digits: Parts, reserve: SpareSet) -> None:
    made = digit_setup()
    sisa = Sisa(shards=2, slices=2)
    trained = sisa.fit(made.task, digits[0], made.recipe, seed=0)
    steward = Steward(trained, digits[0], reserve, unlearner=sisa, healer=Healer(), test=digits[2])
    outcome = steward.forget(digits[0].ids[:5])
    assert outcome.verdict.whole == "pass"
    again = steward.forget(digits[0].ids[5:8])
    assert not set(digits[0].ids[:8]) & set(again.trained.ids)


def test_what_does_not_belong_together_is_refused(original: Trained, digits: Parts) -> None:
    samples = digits[0]
    with pytest.raises(BadInputError) as caught:
        Steward(
            original, samples.without(samples.ids[:3]), SpareSet(samples.only(samples.ids[10:12])),
            unlearner=Fisher(), healer=Healer(), test=Samples(torch.ones(1, 1, 8, 8), [77]),
        )  # fmt: skip
    text = str(caught.value)
    assert "3 ids are only in the model or only in the samples" in text
    assert "2 unspent spares were trained on" in text
    assert "out of range" in text


def test_without_a_healer_a_certificate_is_kept_and_no_spare_is_spent() -> None:
    samples, test = (part.only(part.ids[:300]) for part in (digit_setup().samples, digit_setup().test))
    retain, spares = samples.split(reserve=0.2, seed=0)
    task = ClassificationTask(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), 10)
    method = CertifiedRemoval(regularisation=0.1)
    certified = method.fit(task, retain, seed=0)
    for healer, void in ((None, False), (Healer(strategy="retain"), True)):
        reserve = SpareSet(spares)
        steward = Steward(certified, retain, reserve, unlearner=method, healer=healer, test=test)
        outcome = steward.forget(retain.ids[:2])
        assert (method.account(outcome.trained).void is not None) == void
        assert len(reserve.unspent) == len(spares)
        assert outcome.trained.history[-1].kind == ("healed" if void else "unlearned")
        assert set(steward.samples.ids) == set(retain.ids[2:])


def test_spares_that_are_asked_for_leave_the_reserve(steward: Steward, digits: Parts) -> None:
    spares = steward.reserve.unspent.ids[:3]
    before = steward.trained
    outcome = steward.forget(spares, request="request 7")
    assert outcome.withdrawn == spares
    assert steward.trained is outcome.trained is before
    assert (outcome.verdict.whole, outcome.verdict.forgotten) == ("pass", "pass")
    assert "3 were spares that the model never saw" in str(outcome.verdict)
    assert {steward.reserve.gone[i].fate for i in spares} == {"withdrawn"}
    assert steward.reserve.gone[spares[0]].request == "request 7"
    with pytest.raises(BadInputError, match="unknown"):
        steward.forget(spares)


def test_a_spare_in_quarantine_can_be_asked_for_too(steward: Steward, digits: Parts) -> None:
    kept = steward.reserve.unspent.ids[0]
    steward.reserve.stock.take([kept], "quarantined", "a screen")
    outcome = steward.forget([kept, *digits[0].ids[:3]])
    assert outcome.withdrawn == (kept,)
    assert steward.reserve.gone[kept].fate == "withdrawn"


def test_a_spent_spare_is_unlearned_like_any_training_sample(steward: Steward, digits: Parts) -> None:
    first = steward.forget(digits[0].ids[:5])
    assert first.twins is not None
    spent = list(first.twins.spare_of.values())
    waiting = steward.reserve.unspent.ids[0]
    outcome = steward.forget([*spent, waiting], request="request 2")
    assert outcome.withdrawn == (waiting,)
    assert not {*spent, waiting} & set(outcome.trained.ids)
    assert not {*spent, waiting} & set(steward.samples.ids)
    assert outcome.twins is not None
    assert waiting not in outcome.twins.spare_of.values()
    assert [steward.reserve.gone[i].fate for i in (*spent, waiting)] == ["spent"] * 5 + ["withdrawn"]


def test_spent_spares_heal_again_where_none_are_left(original: Trained, digits: Parts) -> None:
    few = digits[1].at(torch.arange(30))
    reserve = SpareSet(few, shortfall="reuse", radius=0.0)
    steward = Steward(original, digits[0], reserve, unlearner=Influence(), healer=Healer(steps=5), test=digits[2])
    steward.forget(digits[0].ids[:20])
    outcome = steward.forget(digits[0].ids[20:60])
    assert outcome.twins is not None
    assert outcome.twins.reused
    assert len(set(steward.samples.ids)) == len(steward.samples) == len(outcome.trained.ids)
    assert set(steward.samples.ids) == set(outcome.trained.ids)


def test_near_copies_are_looked_for_where_that_is_asked(original: Trained, digits: Parts, reserve: SpareSet) -> None:
    samples = digits[0]
    one = samples.only(samples.ids[:1])
    nearly = one.inputs.clone()
    nearly.view(-1)[10] = nearly.view(-1)[10] ^ 1
    doubled = samples + Samples(nearly, one.targets, ["nearly"], classes=samples.classes)
    trained = replace(original, ids=doubled.ids)
    for look in (False, True):
        steward = Steward(trained, doubled, reserve, unlearner=Influence(), healer=None, look_for_copies=look)
        if look:
            with pytest.warns(UserWarning, match="copies, or nearly so, that stay"):
                outcome = steward.forget(one.ids)
            assert "nearly" in outcome.copies[one.ids[0]]
        else:
            assert steward.forget(one.ids).copies == {}


SCREENS = [ClassConcentration(), Wanted(OutputAware(1), both=True)]


def guarded(steward: Steward, **safer: Any) -> Steward:
    return Steward(
        steward.trained,
        steward.samples,
        steward.reserve,
        unlearner=steward.unlearner,
        healer=steward.healer,
        test=steward.test,
        triage=Triage(SCREENS, false_alarms=0.01),
        safer=SaferRoad(**safer),
    )


def test_a_request_that_looks_like_an_attack_goes_the_safer_road(steward: Steward, hard: tuple[str, ...]) -> None:
    outcome = guarded(steward, unlearner=Retrain(), healer=Healer(steps=3)).forget(hard)
    assert outcome.assessment is not None
    assert outcome.assessment.road == "safer"
    assert [e.by for e in outcome.history[1:]] == ["Retrain()", repr(Healer(steps=3))]
    kept = outcome.history[1].details["assessment"]
    assert kept["road"] == "safer"
    assert any("OutputAware" in reason for reason in kept["reasons"])


def test_harmless_requests_go_the_ordinary_road(steward: Steward) -> None:
    keeper = guarded(steward, unlearner=Retrain(), review=True)
    # One in a hundred raises an alarm, and these are none of them.
    outcome = keeper.forget(Random(15, seed=2).choose(BlindView(steward.samples)))
    assert outcome.assessment is not None
    assert outcome.assessment.road == "ordinary"
    assert outcome.history[1].by == repr(steward.unlearner)
    again = keeper.assess(Random(15, seed=3).choose(BlindView(keeper.samples)))
    assert again is not None
    assert again.road == "ordinary", "screens look at the model as it now is"
    assert keeper.trained is outcome.trained, "assessing changes nothing"


def test_a_person_may_have_to_look_first(steward: Steward, hard: tuple[str, ...]) -> None:
    keeper = guarded(steward, review=True)
    before = state(keeper)
    with pytest.raises(NeedsReviewError, match="wanted by OutputAware") as error:
        keeper.forget(hard)
    assert error.value.assessment.road == "safer"
    assert state(keeper) == before
    assert keeper.forget(hard, reviewed=True).history[1].by == repr(steward.unlearner), "it is honoured, never refused"


def test_screens_without_a_safer_road_are_refused(steward: Steward) -> None:
    with pytest.raises(BadInputError, match="belong together"):
        Steward(
            steward.trained, steward.samples, steward.reserve, unlearner=Fisher(), healer=None, triage=Triage(SCREENS)
        )


def test_a_request_is_checked_before_it_is_assessed(steward: Steward) -> None:
    with pytest.raises(BadInputError, match="nobody"):
        guarded(steward).forget(["nobody"])
    assert steward.assess(["nobody"]) is None, "there are no screens here"


def test_content_names_samples_as_ids_do(steward: Steward, original: Trained, digits: Parts) -> None:
    samples, kept = digits[0], steward.reserve.unspent.only(steward.reserve.unspent.ids[:1])
    by_id = Steward(original, samples, SpareSet(digits[1]), unlearner=Influence(), healer=Healer(), test=digits[2])
    wanted = samples.only([samples.ids[p] for p in (40, 3, 17)])
    asked = Samples(
        torch.cat([wanted.inputs, kept.inputs]), torch.cat([wanted.targets, kept.targets]), ["a", "b", "c", "d"]
    )
    outcome = steward.forget(asked)
    expected = by_id.forget([*wanted.ids, *kept.ids])
    assert outcome.withdrawn == expected.withdrawn == kept.ids
    assert outcome.trained.ids == expected.trained.ids
    assert not set(wanted.ids) & set(outcome.trained.ids)
    assert all(torch.equal(w, expected.trained.weights[name]) for name, w in outcome.trained.weights.items())
    with pytest.raises(BadInputError, match="4 were never learned"):
        steward.forget(asked)


def test_content_that_was_never_learned_is_refused_before_any_work(
    steward: Steward, digits: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Influence, "_unlearn", lambda *_: pytest.fail("work was started"))
    before = state(steward)
    real = digits[0].only(digits[0].ids[:2])
    inputs = real.inputs
    inputs[1, 0, 4, 4] ^= 1
    with pytest.raises(BadInputError, match=r"1 were never learned \('near' \(near a member, 0\.0039\d+ from"):
        steward.forget(Samples(inputs, real.targets, ["real", "near"]))
    assert state(steward) == before


def test_a_worn_model_is_trained_anew_in_place_of_healing_once_more(
    original: Trained, digits: Parts, reserve: SpareSet
) -> None:
    samples, _, test = digits
    policy = Consolidation(requests=2, spent=None, forgotten=None)
    steward = Steward(
        original, samples, reserve, unlearner=NoOp(), healer=Healer(steps=5), test=test, consolidation=policy
    )
    outcomes = [steward.forget(samples.ids[5 * n : 5 * n + 5]) for n in range(4)]
    assert [o.history[-1].kind for o in outcomes] == ["healed", "healed", "unlearned", "healed"]
    anew = outcomes[2].history[-1]
    assert anew.by.startswith("Retrain(")
    assert "2 requests were honoured since" in anew.details["consolidated"]
    assert outcomes[2].twins is None
    assert set(steward.samples.ids) == set(steward.trained.ids) == set(samples.ids[20:]) | set(reserve.spent)


def test_a_model_in_shards_is_not_consolidated(original: Trained, digits: Parts, reserve: SpareSet) -> None:
    sharded = Sisa(shards=2, slices=1).fit(original.task, digits[0], original.recipe.lasting(epochs=1), seed=0)
    with pytest.raises(BadInputError, match="retrained in part at each request anyway"):
        Steward(sharded, digits[0], reserve, unlearner=Sisa(), healer=None, consolidation=Consolidation())


def test_a_healer_that_finds_the_model_whole_spends_no_spare(
    original: Trained, digits: Parts, reserve: SpareSet
) -> None:
    healer = Healer(until=Until(target=0.0))
    steward = Steward(original, digits[0], reserve, unlearner=NoOp(), healer=healer, test=digits[2])
    outcome = steward.forget(digits[0].ids[:5])
    assert outcome.history[-1].steps == 0
    assert not reserve.spent
    assert set(steward.samples.ids) == set(outcome.trained.ids) == set(digits[0].ids[5:])
