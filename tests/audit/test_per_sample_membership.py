"""Attacks on real digits: what they must see, what they must not, and what the population attack misses."""

from dataclasses import dataclass

import pytest
import torch
from tests.support import NoOp, digit_setup, tiny_task

from unscathed import (
    BadInputError,
    BlindView,
    Recipe,
    Retrain,
    Samples,
    ShadowMargins,
    Shadows,
    Sisa,
    Trained,
    audit,
    fit,
    fit_shadows,
)
from unscathed.adversaries import Memorised, Random, plant_canaries
from unscathed.audit import (
    Attack,
    Check,
    Difference,
    Lira,
    Observations,
    PerSampleMembership,
    PopulationMembership,
    Rmia,
    compare_membership,
    membership_auc,
)
from unscathed.audit.per_sample_membership import against_golds

ATTACKS = [Rmia(), Rmia(online=False), Lira(), Lira(online=False)]
RECIPE = Recipe(epochs=20, batch_size=32)


@dataclass(frozen=True)
class Digits:
    samples: Samples
    unseen: Samples
    shadows: Shadows
    original: Trained
    requests: dict[str, tuple[str, ...]]
    golds: dict[str, tuple[Trained, Trained]]

    def gold(self, request: str) -> Trained:
        return self.golds[request][0]

    def forgotten(self, request: str) -> Samples:
        return self.samples.only(self.requests[request])

    def check(self, model: Trained, request: str, attack: Attack, *, gold: bool = True) -> tuple[Check, ...]:
        found = audit(
            model,
            forgotten=self.forgotten(request),
            unseen=self.unseen,
            gold=self.gold(request) if gold else None,
            measures=[PerSampleMembership(shadows=self.shadows, attack=attack)],
        )
        return found.forgetting


@pytest.fixture(scope="module")
def digits() -> Digits:
    everything = digit_setup().samples
    pool, canaries = plant_canaries(everything.only(everything.ids[:750]), 40, seed=0)
    samples, unseen = pool.split(reserve=0.4, seed=0)
    unseen = unseen.without(i for i in unseen.ids if i in set(canaries))
    task = digit_setup().task
    shadows = fit_shadows(task, pool, RECIPE, 8)
    original = fit(task, samples, RECIPE)
    view = BlindView(samples.without(i for i in samples.ids if i in set(canaries)))
    requests = {
        "canaries": tuple(i for i in samples.ids if i in set(canaries)),
        "memorised": Memorised(25, shadows=shadows).choose(view),
        "random": Random(100).choose(view),
    }
    golds = {
        name: tuple(Retrain().unlearn(original, samples, ids, seed=seed) for seed in (1, 2))
        for name, ids in requests.items()
    }
    return Digits(samples, unseen, shadows, original, requests, golds)  # type: ignore[arg-type]


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
@pytest.mark.parametrize("request_", ["canaries", "memorised"])
def test_the_original_is_seen_where_the_population_attack_sees_less(
    digits: Digits, request_: str, attack: Attack
) -> None:
    auc = digits.check(digits.original, request_, attack)[0]
    assert auc.outcome == "fail"
    assert auc.exceeds
    cheap = audit(
        digits.original,
        forgotten=digits.forgotten(request_),
        unseen=digits.unseen,
        gold=digits.gold(request_),
        measures=[PopulationMembership()],
    ).forgetting[0]
    assert auc.of.difference > cheap.of.difference + 0.15
    assert auc.of.value > 0.55 > cheap.of.value


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
@pytest.mark.parametrize("request_", ["canaries", "memorised", "random"])
def test_another_gold_is_not_flagged(digits: Digits, request_: str, attack: Attack) -> None:
    for check in digits.check(digits.golds[request_][1], request_, attack):
        assert check.outcome != "fail"


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_without_gold_memory_is_seen_and_gold_is_not_flagged(digits: Digits, attack: Attack) -> None:
    seen = digits.check(digits.original, "memorised", attack, gold=False)[0]
    assert seen.outcome == "fail"
    assert seen.lowest is None
    for request in digits.requests:
        assert digits.check(digits.gold(request), request, attack, gold=False)[0].outcome != "fail"


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_samples_that_nobody_saw_cannot_be_told_apart(digits: Digits, attack: Attack) -> None:
    order = torch.randperm(len(digits.unseen), generator=torch.Generator().manual_seed(0))
    half, other = (digits.unseen.at(part) for part in order.tensor_split(2))
    found = compare_membership(*attack.attack(digits.original, digits.shadows, half, unseen=other))
    assert found.low <= 0 <= found.high


def test_permuted_masks_tell_nothing(digits: Digits) -> None:
    """LiRA compares two sides of each sample; who was on which is all that it knows."""

    def permuted(samples: Samples, seed: int) -> Observations:
        of = Observations.of(digits.original, digits.shadows, samples)
        generator = torch.Generator().manual_seed(seed)
        order = torch.rand(of.shadows.inside.shape, generator=generator).argsort(dim=0)
        inside = of.shadows.inside.gather(0, order)
        parts = {name: getattr(of.shadows, name) for name in ("ids", "margins", "losses", "scores")}
        return Observations(of.model, ShadowMargins(**parts, inside=inside))

    asked, unseen = permuted(digits.forgotten("random"), 1), permuted(digits.unseen, 2)
    found = compare_membership(*Lira().scores(asked, unseen))
    assert abs(found.difference) < 0.1
    assert found.low <= 0 <= found.high


def test_true_positives_are_told_with_their_resolution(digits: Digits) -> None:
    auc, percent, permille = digits.check(digits.original, "canaries", Rmia())
    assert "8 shadow models" in auc.remark
    assert auc.name == "RMIA AUC"
    assert percent.name == "RMIA true positives at 1 % false ones"
    assert percent.of.value > 0.3
    assert "may be named" in percent.remark
    assert (permille.of.low, permille.of.high) == (-1, 1)
    assert "not enough evidence: this rate takes 1,000 unseen samples" in permille.remark
    assert percent.outcome == permille.outcome == "pass", "told, not judged"
    strict = PerSampleMembership(shadows=digits.shadows, attack=Rmia(), rates=(0.1, 0.001), tolerated=0.05)
    judged = audit(
        digits.original,
        forgotten=digits.forgotten("canaries"),
        unseen=digits.unseen,
        gold=digits.gold("canaries"),
        measures=[strict],
    ).forgetting
    assert [check.outcome for check in judged] == ["fail", "fail", "not enough evidence"]


def test_golds_spread_counts_where_the_audits_gold_is_one_of_them(digits: Digits) -> None:
    def auc(*golds: Trained) -> Difference:
        measure = PerSampleMembership(shadows=digits.shadows, golds=golds)
        return (
            audit(
                digits.original,
                forgotten=digits.forgotten("random"),
                unseen=digits.unseen,
                gold=digits.gold("random"),
                measures=[measure],
            )
            .forgetting[0]
            .of
        )

    one, other = digits.golds["random"]
    alone, both = auc(), auc(one, other)
    assert auc(other) == auc(one) == alone
    theirs = membership_auc(
        *Rmia(online=False).attack(other, digits.shadows, digits.forgotten("random"), unseen=digits.unseen),
        digits.forgotten("random").targets,
        digits.unseen.targets,
    )
    assert both.reference == pytest.approx((alone.reference + theirs) / 2)
    assert both.difference == pytest.approx(both.value - both.reference)
    assert both.high - both.low > alone.high - alone.low
    measure = PerSampleMembership(shadows=digits.shadows, golds=(digits.original,))
    with pytest.raises(BadInputError, match="1 of 1 golds were trained on forgotten samples"):
        audit(digits.original, forgotten=digits.forgotten("random"), unseen=digits.unseen, gold=one, measures=[measure])


@pytest.mark.parametrize("golds", [3, 8])
def test_one_more_gold_lies_within_the_interval_as_often_as_it_says(golds: int) -> None:
    """Areas of golds drawn around one truth, and samples that add no error of their own."""
    generator = torch.Generator().manual_seed(0)
    held = 0
    for draw in torch.randn(2000, golds + 1, generator=generator, dtype=torch.float64).tolist():
        found = against_golds(Difference(draw[0], draw[1], draw[0] - draw[1], draw[0] - draw[1], 0.0), draw[1:])
        held += found.low <= 0 <= found.high
    assert 0.94 < held / 2000 < 0.96


def test_an_ensemble_is_attacked_with_single_shadow_models(digits: Digits) -> None:
    unlearner = Sisa(shards=2, slices=1)
    sisa = unlearner.fit(digits.original.task, digits.samples, RECIPE)
    ids = digits.requests["canaries"]
    verdict = audit(
        sisa,
        forgotten=digits.forgotten("canaries"),
        unseen=digits.unseen,
        gold=digits.gold("canaries"),
        same_procedure=unlearner.unlearn(sisa, digits.samples, ids),
        measures=[PerSampleMembership(shadows=digits.shadows)],
    )
    assert verdict.forgetting[0].outcome == "fail"


def test_an_unlearner_that_did_nothing_fails_the_whole_audit(digits: Digits) -> None:
    unlearned = NoOp().unlearn(digits.original, digits.samples, digits.requests["memorised"])
    verdict = audit(
        unlearned,
        forgotten=digits.forgotten("memorised"),
        unseen=digits.unseen,
        gold=digits.gold("memorised"),
        original=digits.original,
        measures=[PerSampleMembership(shadows=digits.shadows)],
    )
    assert verdict.forgotten == "fail"
    assert not verdict.powerless


def test_what_is_missing_is_named(digits: Digits) -> None:
    forgotten, test = digits.forgotten("random"), digit_setup().test
    measure = PerSampleMembership(shadows=digits.shadows, attack=Rmia(), rates=(0.0,))
    gold = digits.gold("random")
    with pytest.raises(BadInputError, match=r"rates=.*\n.*give test=… or unseen=…"):
        audit(digits.original, forgotten=forgotten, measures=[measure])
    # Test samples were not among those that shadow models were drawn from.
    with pytest.raises(BadInputError, match="an online attack needs each to be inside of some"):
        audit(digits.original, forgotten=forgotten, test=test, gold=gold, measures=[measure])
    offline = PerSampleMembership(shadows=digits.shadows)
    found = audit(digits.original, forgotten=forgotten, test=test, gold=gold, measures=[offline]).forgetting
    assert found[0].name == "offline RMIA AUC"
    with pytest.raises(BadInputError, match="there are no forgotten samples"):
        audit(digits.original, forgotten=forgotten.only([]), unseen=test, measures=[offline])
    others = fit_shadows(tiny_task(), Samples(torch.randn(20, 3), torch.arange(20) % 3), Recipe(steps=1), 2)
    with pytest.raises(BadInputError, match="of another task"):
        audit(digits.original, forgotten=forgotten, unseen=test, measures=[PerSampleMembership(shadows=others)])
