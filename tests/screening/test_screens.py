"""Each screen's score, against closed forms and brute force."""

import itertools

import pytest
import torch
from scipy import stats
from tests.support import blobs, ridge_trained, tiny_task

from unscathed import BadInputError, OutputView, Recipe, Sisa, Trained, expected_cost, fit, request_cost
from unscathed.adversaries import OutputAware, ParameterAware
from unscathed.screening import ClassConcentration, Price, RegionConcentration, Wanted
from unscathed.screening.base import standardised

SAMPLES = blobs(60, spread=0.8)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return fit(tiny_task(), SAMPLES, Recipe(epochs=5, batch_size=16), seed=0)


def drawn(size: int, times: int = 400) -> list[list[str]]:
    draw = torch.Generator().manual_seed(1)
    return [[SAMPLES.ids[p] for p in torch.randperm(60, generator=draw)[:size].tolist()] for _ in range(times)]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_means_are_told_in_standard_errors(size: int) -> None:
    few = blobs(7)
    values = torch.tensor([3.0, -1.0, 0.5, 8.0, 2.0, 2.0, -4.0])
    score = standardised(values, few)
    found = torch.tensor([score(request) for request in itertools.combinations(few.ids, size)])
    # Over all requests of a size, exactly mean 0 and variance 1.
    assert float(found.mean()) == pytest.approx(0, abs=1e-6)
    assert float(found.square().mean()) == pytest.approx(1, abs=1e-6)


def test_values_that_are_no_numbers_count_as_the_highest() -> None:
    few = blobs(4)
    score = standardised(torch.tensor([0.0, 1.0, float("inf"), float("nan")]), few)
    assert score(few.ids[1:2]) == score(few.ids[2:3]) == score(few.ids[3:4]) > score(few.ids[:1])
    assert standardised(torch.ones(4), few)(few.ids[:2]) == 0


def test_wanted_is_the_adversarys_own_order(trained: Trained) -> None:
    adversary = OutputAware(6)
    chosen = adversary.choose(_view(trained))
    score = Wanted(adversary).fit(trained, SAMPLES)
    others = [score(request) for request in drawn(6)]
    assert score(chosen) > max(others)
    least = [i for i in SAMPLES.ids if i not in OutputAware(54).choose(_view(trained))]
    assert score(least) < min(others)
    assert Wanted(adversary, both=True).fit(trained, SAMPLES)(least) == -score(least)


def test_what_aims_at_validation_samples_needs_some(trained: Trained) -> None:
    with pytest.raises(BadInputError, match="give validation"):
        Wanted(ParameterAware(3))
    assert Wanted(ParameterAware(3), validation=blobs(30, seed=5)).fit(trained, SAMPLES)(SAMPLES.ids[:3])


def test_class_concentration_is_the_likelihood_ratio(trained: Trained) -> None:
    score = ClassConcentration().fit(trained, SAMPLES)
    ids = [i for i, y in zip(SAMPLES.ids, SAMPLES.targets.tolist(), strict=True) if y == 0][:9] + list(SAMPLES.ids[1:3])
    counts = torch.bincount(SAMPLES.only(ids).targets, minlength=3)
    ratio = stats.power_divergence(counts.numpy(), 11 * torch.bincount(SAMPLES.targets).numpy() / 60, lambda_=0)[0]
    # Wilson and Hilferty: about what a normal has whose tail is as large as the χ²'s.
    assert score(ids) == pytest.approx(stats.norm.isf(stats.chi2.sf(ratio, 2)), abs=0.1)
    balanced = [SAMPLES.ids[SAMPLES.targets.tolist().index(c)] for c in range(3)]
    assert score(balanced) < min(score(r) for r in drawn(12)) + 1e-9


def test_region_concentration_is_centred_and_finds_neighbours(trained: Trained) -> None:
    score = RegionConcentration().fit(trained, SAMPLES)
    others = torch.tensor([score(request) for request in drawn(8)])
    assert abs(float(others.mean())) < 0.3
    assert 0.5 < float(others.std()) < 1.5
    # One class's samples on one side of its mean.
    own = [p for p, y in enumerate(SAMPLES.targets.tolist()) if y == 1]
    features = trained.features(SAMPLES).flatten(1)[own]
    side = (features - features.mean(dim=0)) @ torch.linalg.svd(features - features.mean(dim=0))[2][0]
    near = [SAMPLES.ids[own[p]] for p in side.argsort(descending=True)[:8].tolist()]
    assert score(near) > float(others.max())
    draw = torch.Generator().manual_seed(4)
    of_class = [[SAMPLES.ids[own[p]] for p in torch.randperm(len(own), generator=draw)[:8].tolist()] for _ in range(50)]
    assert sum(map(score, of_class)) / 50 < 1, "a class alone is no region: that is another screen's business"


def test_price_is_what_a_request_costs_over_a_random_one() -> None:
    sisa = Sisa(shards=2, slices=3)
    sharded = sisa.fit(tiny_task(), SAMPLES, Recipe(epochs=6, batch_size=16), seed=0)
    score = Price().fit(sharded, SAMPLES)
    early = [shard[0][0] for shard in sharded.shards]
    late = [shard[-1][0] for shard in sharded.shards]
    assert score(early) == request_cost(sharded.shards, early) / expected_cost(60, shards=2, slices=3, requests=2)
    assert score(early) > 1 > score(late)


def test_screens_that_do_not_suit_a_model(trained: Trained) -> None:
    with pytest.raises(BadInputError, match="has none: all requests cost it about the same"):
        Price().fit(trained, SAMPLES)
    unlabelled, samples = ridge_trained()
    with pytest.raises(BadInputError, match="this task has none"):
        ClassConcentration().fit(unlabelled, samples)


def _view(trained: Trained) -> OutputView:
    return OutputView(trained, SAMPLES)
