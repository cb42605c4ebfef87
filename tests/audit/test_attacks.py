"""The attacks against brute force in float64, and against models whose memory is known."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unscathed import BadInputError, ShadowMargins
from unscathed.audit import Lira, Observations, Rmia, membership_auc
from unscathed.training import Evaluation


def observed(models: int, count: int, seed: int, *, outside_of_all: bool = False, scale: float = 1.0) -> Observations:
    """Random margins, losses and halves; samples as their shadow models are drawn, in pairs."""
    generator = torch.Generator().manual_seed(seed)
    halves = torch.rand(models // 2, count, generator=generator) < 0.5
    inside = torch.stack([halves, ~halves], dim=1).reshape(models, count) & (not outside_of_all)
    margins = scale * torch.randn(models, count, generator=generator, dtype=torch.float64) + inside
    losses = torch.nn.functional.softplus(-margins)
    own = torch.randn(count, generator=generator, dtype=torch.float64)
    ids = tuple(f"{seed}-{i}" for i in range(count))
    shadows = ShadowMargins(ids=ids, margins=margins, losses=losses, scores=(margins > 0).double(), inside=inside)
    return Observations(Evaluation(torch.nn.functional.softplus(-own), own, own), shadows)


def log_normal(value: float, mean: float, variance: float) -> float:
    return -((value - mean) ** 2) / (2 * variance) - math.log(variance) / 2 - math.log(2 * math.pi) / 2


def sides(of: Observations, sample: int, measure: str = "margins") -> tuple[list[float], list[float]]:
    column = getattr(of.shadows, measure)[:, sample].tolist()
    there = of.shadows.inside[:, sample].tolist()
    return (
        [v for v, i in zip(column, there, strict=True) if i],
        [v for v, i in zip(column, there, strict=True) if not i],
    )


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def squares(values: list[float]) -> float:
    return sum((v - mean(values)) ** 2 for v in values)


def lira(of: Observations, everyone: list[Observations], online: bool, each: bool) -> list[float]:
    """Algorithm 1, a sample at a time."""
    spread = []
    for side in (0, 1):
        all_of_it = [sides(one, s)[side] for one in everyone for s in range(len(one.shadows))]
        freedom = sum(max(0, len(v) - 1) for v in all_of_it)
        spread.append(sum(squares(v) for v in all_of_it if v) / freedom if freedom else None)
    found = []
    for sample in range(len(of.shadows)):
        within, without = sides(of, sample)
        value = float(of.model.margins[sample])
        out = squares(without) / (len(without) - 1) if each else spread[1]
        if online:
            their = squares(within) / (len(within) - 1) if each else spread[0]
            found.append(log_normal(value, mean(within), their) - log_normal(value, mean(without), out))
        else:
            found.append((value - mean(without)) / math.sqrt(out))
    return found


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("variance", ["each", "shared", "auto"])
def test_lira_is_the_ratio_of_the_papers_densities(online: bool, variance: str) -> None:
    asked, unseen = observed(8, 9, 1), observed(8, 7, 2)
    found = Lira(online=online, variance=variance).scores(asked, unseen)  # type: ignore[arg-type]
    for one, scores in zip((asked, unseen), found, strict=True):
        assert scores.dtype == torch.float64
        assert scores.tolist() == pytest.approx(lira(one, [asked, unseen], online, variance == "each"))


def test_many_models_have_each_samples_own_variance() -> None:
    many = observed(64, 5, 3), observed(64, 5, 4)
    assert Lira().scores(*many)[0].tolist() == pytest.approx(lira(many[0], list(many), True, True))
    few = observed(62, 5, 3), observed(62, 5, 4)
    assert Lira().scores(*few)[0].tolist() == pytest.approx(lira(few[0], list(few), True, False))


def test_two_models_tell_no_variance_and_lira_still_ranks() -> None:
    asked, unseen = observed(2, 6, 5), observed(2, 6, 6)
    value, (within, without) = float(asked.model.margins[0]), sides(asked, 0)
    expected = log_normal(value, within[0], 1.0) - log_normal(value, without[0], 1.0)
    assert float(Lira().scores(asked, unseen)[0][0]) == pytest.approx(expected)
    with pytest.raises(BadInputError, match="variance='kde'"):
        Lira(variance="kde")  # type: ignore[arg-type]
    assert "use variance='shared'" in Lira(variance="each").problems_with(asked.shadows, unseen.shadows)[0]


def ratios(of: Observations, attack: Rmia) -> list[float]:
    found = []
    for sample in range(len(of.shadows)):
        within, without = ([math.exp(-v) for v in side] for side in sides(of, sample, "losses"))
        if attack.online:
            average = (mean(within) + mean(without)) / 2
        else:
            average = ((1 + attack.offline_a) * mean(without) + 1 - attack.offline_a) / 2
        found.append(math.exp(-float(of.model.losses[sample])) / average)
    return found


def rmia(asked: Observations, unseen: Observations, attack: Rmia) -> tuple[list[float], list[float]]:
    """Equation 2, a pair at a time."""
    ours, theirs = ratios(asked, attack), ratios(unseen, attack)

    def share(x: float, own: int | None = None) -> float:
        return mean(
            [
                0.5 if z == own and attack.gamma == 1 else float(x / theirs[z] >= attack.gamma)
                for z in range(len(theirs))
            ]
        )

    return [share(x) for x in ours], [share(x, own) for own, x in enumerate(theirs)]


@pytest.mark.parametrize(
    "attack",
    [
        Rmia(),
        Rmia(gamma=2),
        Rmia(gamma=0.5),
        Rmia(online=False),
        Rmia(online=False, offline_a=0.3, gamma=1.3),
        Rmia(online=False, offline_a=0),
    ],
    ids=repr,
)
def test_rmia_is_the_share_of_unseen_samples_outdone(attack: Rmia) -> None:
    asked, unseen = observed(8, 40, 1), observed(8, 30, 2)
    for found, expected in zip(attack.scores(asked, unseen), rmia(asked, unseen, attack), strict=True):
        assert found.dtype == torch.float64
        assert found.tolist() == pytest.approx(expected)


def test_losses_of_long_sequences_do_not_end_at_probability_zero() -> None:
    def heavier(of: Observations) -> Observations:
        shadows, own = of.shadows, of.model
        heavy = ShadowMargins(
            ids=shadows.ids,
            margins=shadows.margins,
            losses=shadows.losses + 5000,
            scores=shadows.scores,
            inside=shadows.inside,
        )
        return Observations(Evaluation(own.losses + 5000, own.scores, own.margins), heavy)

    asked, unseen = observed(8, 20, 1), observed(8, 20, 2)
    for one, same in zip(Rmia().scores(asked, unseen), Rmia().scores(heavier(asked), heavier(unseen)), strict=True):
        assert one.tolist() == pytest.approx(same.tolist())


@given(st.integers(0, 10_000), st.sampled_from([1.0, 1.2, 2.0]), st.booleans())
def test_scores_rise_with_the_ratio_alone_and_gamma_only_ties(seed: int, gamma: float, online: bool) -> None:
    asked, unseen = observed(4, 25, seed), observed(4, 25, seed + 1)
    attack = Rmia(online=online, gamma=gamma)
    scores, others = attack.scores(asked, unseen)
    ours, theirs = (torch.tensor(ratios(one, attack)).double() for one in (asked, unseen))
    assert (scores[ours.argsort()].diff() >= 0).all()
    if gamma == 1:
        assert membership_auc(scores, others) == pytest.approx(membership_auc(ours, theirs))


def test_what_online_attacks_need() -> None:
    inside, outside = observed(4, 6, 1).shadows, observed(4, 5, 2, outside_of_all=True).shadows
    for attack in (Lira(), Rmia()):
        assert attack.problems_with(inside, inside) == []
        found = attack.problems_with(inside, outside)
        assert len(found) == 1
        assert "5 of the 5 samples unseen are on one side of all shadow models" in found[0]
        assert f"{type(attack).__name__}(online=False)" in found[0]
    assert Rmia(online=False).problems_with(outside, outside) == []
    assert Rmia(online=False).scores(observed(4, 6, 1), observed(4, 5, 2, outside_of_all=True))[1].isfinite().all()


@pytest.mark.parametrize("settings", [{"gamma": 0}, {"gamma": math.inf}, {"offline_a": 1.2}])
def test_rmia_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(BadInputError, match=f"{next(iter(settings))}="):
        Rmia(**settings)  # type: ignore[arg-type]
