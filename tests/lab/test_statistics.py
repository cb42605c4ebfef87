from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tests.support.folders import AWARE, BOTH, CONTROL, RANDOM, made_models, write_folder

from unscathed import BadInputError
from unscathed.lab.frames import measured, read
from unscathed.lab.statistics import differences, estimate, reference_of


def test_the_t_interval_is_students() -> None:
    found = estimate([1.0, 2.0, 4.0])
    # Mean 7/3, standard deviation sqrt(7/3), t(0.975, 2) = 4.3027.
    assert found.mean == pytest.approx(7 / 3)
    assert found.half == pytest.approx(4.30265 * (7 / 3) ** 0.5 / 3**0.5, rel=1e-5)
    assert found.n == 3


@pytest.mark.parametrize(("kind", "n", "least", "most"), [("t", 4, 0.93, 0.97), ("bootstrap", 12, 0.86, 0.96)])
def test_intervals_hold_the_true_mean_as_often_as_they_say(kind: str, n: int, least: float, most: float) -> None:
    draws = np.random.default_rng(0)
    rounds = 2_000 if kind == "t" else 300
    found = [estimate(draws.normal(3, 2, n), kind) for _ in range(rounds)]  # type: ignore[arg-type]
    assert least < np.mean([one.low < 3 < one.high for one in found]) < most  # type: ignore[operator]


def test_one_value_has_no_interval_and_missing_ones_do_not_count() -> None:
    assert estimate([2.0]) == estimate([2.0, float("nan")])
    assert estimate([2.0]).half is None
    assert not estimate([2.0]).certain
    assert estimate([2.0, 2.0]).half == 0
    assert estimate([1.0, 1.1]).n == 2
    with pytest.raises(BadInputError, match="no values"):
        estimate([])


def test_an_interval_that_leaves_zero_out_is_certain() -> None:
    assert estimate([1.0, 1.1, 0.9]).certain
    assert not estimate([1.0, -1.1, 0.9]).certain


def test_pairing_by_seed_takes_out_what_seeds_share(tmp_path: Path) -> None:
    seeds = range(8)
    frame = measured(
        read(write_folder(tmp_path, made_models(adversaries=[RANDOM], seeds=seeds, spread=2.0))), "test_accuracy"
    )
    paired = differences(frame, {"healer": CONTROL})
    ours = paired[(paired["unlearner"] == "Fisher") & (paired["healer"] == BOTH)].set_index("seed")["value"]
    both, control = (
        frame[(frame["unlearner"] == "Fisher") & (frame["healer"] == healer)].set_index("seed")["value"]
        for healer in (BOTH, CONTROL)
    )
    np.testing.assert_allclose(ours.sort_index(), both.sort_index() - control.sort_index())
    found = estimate(ours)
    low, high = stats.ttest_rel(both.sort_index(), control.sort_index()).confidence_interval()
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.half < 0.5 * estimate(both).half  # type: ignore[operator]


def test_differences_from_gold_reach_every_unlearner_and_healer(tmp_path: Path) -> None:
    models = made_models(unlearners=["Sisa", "Fisher"], but={(AWARE, "Sisa", "original"): {"test_accuracy": 80.5}})
    frame = measured(read(write_folder(tmp_path, models)), "test_accuracy")
    found = differences(frame, "gold")
    assert "gold" not in set(found["stage"])
    values = found[found["adversary"] == AWARE].set_index(["stage", "unlearner"])["value"]
    assert values.loc[[("original", "Sisa")]].tolist() == [-10.0]
    assert values.loc[[("healed", "Fisher")]].tolist() == [-0.25, -0.75, -2.0]
    # The plain original belongs to no unlearner, and is compared with the same gold.
    assert found[(found["stage"] == "original") & found["unlearner"].isna()]["value"].tolist() == [0.75, 0.75]


def test_differences_from_the_original_take_the_unlearners_own(tmp_path: Path) -> None:
    models = made_models(
        adversaries=[AWARE], unlearners=["Sisa", "Fisher"], but={(AWARE, "Sisa", "original"): {"test_accuracy": 80.0}}
    )
    frame = measured(read(write_folder(tmp_path, models)), "test_accuracy")
    found = differences(frame, "stage=original").set_index(["stage", "unlearner"])["value"]
    assert found.loc[[("unlearned", "Sisa")]].tolist() == [4.75]
    assert found.loc[[("unlearned", "Fisher")]].tolist() == [-6.5]


def test_a_seed_without_its_reference_is_left_out(tmp_path: Path) -> None:
    models = made_models(adversaries=[RANDOM], unlearners=["Fisher"], seeds=[0, 1, 2])
    models = [m for m in models if (m["stage"], m["seed"]) != ("gold", 1)]
    found = differences(measured(read(write_folder(tmp_path, models)), "test_accuracy"), "gold")
    assert set(found["seed"]) == {0, 2}


@pytest.mark.parametrize("against", ["silver", "seed=3", {"colour": "red"}, {}])
def test_what_cannot_be_compared_with_is_refused(against: object) -> None:
    with pytest.raises(BadInputError, match="cannot compare with"):
        reference_of(against)  # type: ignore[arg-type]
