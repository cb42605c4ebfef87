import math

import pytest
import torch
from tests.support import blobs, tiny_task

from unscathed import Recipe, ShadowMargins, fit_shadows
from unscathed.training import most_memorised

SAMPLES, ELSEWHERE = blobs(40, spread=0.8), blobs(12, seed=5, spread=0.8)


def made(inside: torch.Tensor, seed: int = 0) -> ShadowMargins:
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(inside.shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    ids = tuple(map(str, range(inside.shape[1])))
    return ShadowMargins(ids=ids, margins=draw[0], losses=draw[1].exp(), scores=(draw[1] > 0).double(), inside=inside)


@pytest.fixture(scope="module")
def margins() -> ShadowMargins:
    return ShadowMargins.of(fit_shadows(tiny_task(), SAMPLES, Recipe(steps=3), 4), SAMPLES + ELSEWHERE)


def test_who_was_inside_and_what_was_never_there_is_outside_of_all(margins: ShadowMargins) -> None:
    shadows = fit_shadows(tiny_task(), SAMPLES, Recipe(steps=3), 4)
    assert torch.equal(margins.inside[:, :40], shadows.inside)
    assert not margins.inside[:, 40:].any()
    assert margins.on_both_sides.tolist() == [True] * 40 + [False] * 12
    for row, model in zip(margins.margins, shadows.models, strict=True):
        assert torch.equal(row[:40], model.evaluate(SAMPLES).margins.double())
    assert len(margins) == 52


def test_statistics_are_those_of_each_sample_alone() -> None:
    inside = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]], dtype=torch.bool)
    margins = made(inside)
    for side in (True, False):
        found = margins.statistics(margins.margins, inside=side)
        freedom = 0
        for sample in range(3):
            values = [float(margins.margins[k, sample]) for k in range(5) if bool(inside[k, sample]) == side]
            assert found.count[sample] == len(values)
            freedom += max(0, len(values) - 1)
            if values:
                mean = sum(values) / len(values)
                assert float(found.mean[sample]) == pytest.approx(mean)
                assert float(found.squares[sample]) == pytest.approx(sum((v - mean) ** 2 for v in values))
            else:
                assert math.isnan(found.mean[sample])
            if len(values) > 1:
                assert float(found.variance[sample]) == pytest.approx(float(torch.tensor(values).var()), rel=1e-5)
        assert found.freedom == freedom


def test_memorisation_is_the_score_inside_less_that_outside() -> None:
    margins = made(torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=torch.bool))
    scores = margins.scores
    expected = [float(scores[:2, 0].mean() - scores[2:, 0].mean()), float(scores[2:, 1].mean() - scores[:2, 1].mean())]
    assert margins.memorisation().tolist() == pytest.approx(expected)
    gap = float(margins.margins[:2, 0].mean() - margins.margins[2:, 0].mean())
    assert float(margins.memorisation(margins.margins)[0]) == pytest.approx(gap)


def test_ties_go_to_the_wider_gap_and_nothing_else_does() -> None:
    generator = torch.Generator().manual_seed(1)
    inside = torch.stack([torch.randperm(6, generator=generator) < 3 for _ in range(80)], dim=1)
    margins = made(inside, seed=2)
    order = most_memorised(margins).argsort(descending=True).tolist()
    values, gaps = margins.memorisation(), margins.memorisation(margins.margins)
    expected = sorted(range(80), key=lambda i: (-round(float(values[i]), 9), -float(gaps[i])))
    assert order == expected
    assert len({round(float(v), 9) for v in values}) < 8, "most samples tie"
