"""Requests that cost the most, against brute force."""

import itertools

import pytest
import torch
from scipy import stats
from tests.support import blobs, tiny_task, trained_by_hand
from torch import nn

from unscathed import (
    BadInputError,
    CertifiedRemoval,
    ClassificationTask,
    Recipe,
    Samples,
    Sisa,
    Trained,
    expected_cost,
    request_cost,
)
from unscathed.adversaries import BlindView, CertificateBreaking, EarliestSlices, LayoutView, ParameterView, Random

SAMPLES = blobs(24)


@pytest.fixture(scope="module")
def sharded() -> Trained:
    return Sisa(shards=3, slices=2).fit(tiny_task(), SAMPLES, Recipe(epochs=2, batch_size=8), seed=0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_request_of_that_size_costs_more(count: int, sharded: Trained) -> None:
    chosen = EarliestSlices(count).choose(LayoutView(sharded, SAMPLES))
    assert len(set(chosen)) == count
    most = max(request_cost(sharded.shards, r) for r in itertools.combinations(SAMPLES.ids, count))
    assert request_cost(sharded.shards, chosen) == most
    assert most > 1.1 * expected_cost(24, shards=3, slices=2, requests=count), "more than random ones"


def test_one_a_shard_costs_as_much_as_training(sharded: Trained) -> None:
    chosen = EarliestSlices(3).choose(LayoutView(sharded, SAMPLES))
    # Of the 24 samples 21 are left; an epoch of stages over slices 1 and 1 to 2 shows each of them once, about.
    assert request_cost(sharded.shards, chosen) == pytest.approx(21, abs=1)


def test_later_slices_come_last_and_none_twice(sharded: Trained) -> None:
    chosen = EarliestSlices(23).choose(LayoutView(sharded, SAMPLES))
    first = {i for shard in sharded.shards for i in shard[0]}
    assert set(chosen[:12]) == first
    assert len(set(chosen)) == 23


def test_it_sees_where_its_own_samples_are_and_no_more(sharded: Trained) -> None:
    own = SAMPLES.only(SAMPLES.ids[:7])
    view = LayoutView(sharded, own)
    assert sorted(i for shard in view.layout for part in shard for i in part) == sorted(own.ids)
    assert set(EarliestSlices(6).choose(view)) <= set(own.ids)
    for beyond in ("model", "outputs", "trained", "weights", "__dict__"):
        with pytest.raises(AttributeError):
            getattr(view, beyond)


def test_a_model_without_shards_is_refused(sharded: Trained) -> None:
    single = trained_by_hand(tiny_task(), SAMPLES)
    with pytest.raises(BadInputError, match="not trained in shards"):
        EarliestSlices(3).choose(LayoutView(single, SAMPLES))
    with pytest.raises(BadInputError, match="needs a LayoutView"):
        EarliestSlices(3).choose(BlindView(SAMPLES))  # type: ignore[arg-type]


CERTIFIED = CertifiedRemoval(epsilon=2.0, perturbation=5.0, regularisation=1e-2)
POINTS = blobs(45, spread=1.5)


@pytest.fixture(scope="module")
def certified() -> Trained:
    task = ClassificationTask(lambda: nn.Linear(POINTS.shape[0], 3, dtype=torch.float64), 3)
    return CERTIFIED.fit(task, Samples(POINTS.inputs.double(), POINTS.targets, ids=POINTS.ids), Recipe(), seed=0)


def debts(certified: Trained, samples: Samples) -> list[float]:
    """The share of the budget that each sample's removal spends, by removing it."""
    removed = (CERTIFIED.unlearn(certified, samples, [i]) for i in samples.ids)
    return [CertifiedRemoval.account(after).spent for after in removed]


def test_the_certificate_is_broken_by_those_who_move_the_minimum_most(certified: Trained) -> None:
    samples = Samples(POINTS.inputs.double(), POINTS.targets, ids=POINTS.ids)
    view = ParameterView(certified, samples, validation=samples)
    values = CertificateBreaking(9).values(view)
    spent = debts(certified, samples)
    assert stats.spearmanr(values, spent).statistic > 0.9
    shuffled = values[torch.randperm(len(values), generator=torch.Generator().manual_seed(0))]
    assert abs(stats.spearmanr(shuffled, spent).statistic) < 0.4, "a control that knows nothing"
    attacked, usual = (
        CERTIFIED.unlearn(certified, samples, who.choose(view)) for who in (CertificateBreaking(9), Random(9))
    )
    assert CertifiedRemoval.account(attacked).last.retrained is not None, "nine of them, and it must be trained afresh"
    assert CertifiedRemoval.account(usual).last.retrained is None


def test_leverages_are_those_of_the_dense_hessian(certified: Trained) -> None:
    samples = Samples(POINTS.inputs.double(), POINTS.targets, ids=POINTS.ids)
    view = ParameterView(certified, samples, validation=samples)
    weight, bias = (p.detach() for p in view.model().parameters())
    theta = torch.cat([weight, bias[:, None]], dim=1).flatten()
    inputs = torch.cat([samples.inputs, torch.ones(len(samples), 1, dtype=torch.float64)], dim=1)

    def losses(at: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(inputs @ at.view(3, -1).T, samples.targets, reduction="none")

    gradients = torch.autograd.functional.jacobian(losses, theta)
    hessian = (
        torch.autograd.functional.hessian(lambda at: losses(at).sum(), theta)
        + 1e-2 * 45 * torch.eye(len(theta)).double()
    )
    expected = (gradients * torch.linalg.solve(hessian, gradients.T).T).sum(dim=1)
    torch.testing.assert_close(CertificateBreaking(9).values(view), expected, rtol=1e-9, atol=1e-12)


def test_a_regularisation_that_cannot_be() -> None:
    with pytest.raises(BadInputError, match="regularisation"):
        CertificateBreaking(3, regularisation=0.0)
