"""Requests are told apart, at a rate of false alarms that holds on requests that were not seen before."""

import pytest
import torch
from tests.support import blobs, tiny_task

from unscathed import BadInputError, OutputView, Recipe, Samples, Trained, fit
from unscathed.adversaries import OneClass, OutputAware, Random
from unscathed.screening import Assessor, ClassConcentration, RegionConcentration, Score, Screen, Triage, Wanted
from unscathed.screening.triage import extrapolated, of_like_size

SAMPLES = blobs(300, spread=0.8)
SCREENS = [ClassConcentration(), RegionConcentration(), Wanted(OutputAware(1), both=True)]


@pytest.fixture(scope="module")
def trained() -> Trained:
    return fit(tiny_task(), SAMPLES, Recipe(epochs=5, batch_size=16), seed=0)


SIZES = (1, 2, 5, 10, 20, 50)


def random_requests(count: int, seed: int, sizes: tuple[int, ...] = SIZES) -> list[list[str]]:
    draw = torch.Generator().manual_seed(seed)
    return [
        [SAMPLES.ids[p] for p in torch.randperm(300, generator=draw)[: sizes[n % len(sizes)]].tolist()]
        for n in range(count)
    ]


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_false_alarms_are_as_rare_as_asked(rate: float, trained: Trained) -> None:
    assessor = Triage(SCREENS, false_alarms=rate, draws=2000).fit(trained, SAMPLES)
    alarms = sum(assessor.assess(r).road == "safer" for r in random_requests(1000, seed=77))
    # Four standard errors of the held-out requests and of the thousand that set the threshold, together.
    reach = 4 * (2 * rate * (1 - rate) / 1000) ** 0.5
    assert rate - reach < alarms / 1000 < rate + reach
    assert alarms > 0


class Growing(Screen):
    """Scores that grow with the request, whoever asks: each size has a range of its own."""

    name = "growing"

    def fit(self, trained: Trained, samples: Samples) -> Score:
        place = {i: p for p, i in enumerate(samples.ids)}
        return lambda request: len(request) * (1 + sum(place[i] * (n + 1) for n, i in enumerate(request)) % 997 / 997)


@pytest.mark.parametrize("screens", [SCREENS, [Growing()]], ids=["usual", "growing"])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_false_alarms_are_as_rare_at_each_size(rate: float, screens: list[Screen], trained: Trained) -> None:
    assessor = Triage(screens, false_alarms=rate).fit(trained, SAMPLES)
    for size in SIZES:
        asked = random_requests(300, seed=size, sizes=(size,))
        alarms = sum(assessor.assess(r).road == "safer" for r in asked)
        # Four standard errors of those asked here and of the two hundred that set the threshold of their size.
        reach = 4 * (rate * (1 - rate) * (1 / 300 + 1 / 200)) ** 0.5
        assert alarms / 300 < rate + reach, size
        assert size < 5 or rate < 0.05 or alarms > 0, "but of one or two samples there may be nothing to see"


def test_beyond_all_that_is_usual_the_farther_is_the_rarer() -> None:
    usual = [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [extrapolated(usual, score) for score in (-1.0, 2.5, 4.0)] == pytest.approx([1.0, 1 / 2, 1 / 3])
    # A sixth have what is more than usual; twice as far beyond the median as the last is half as rare again.
    assert [extrapolated(usual, score) for score in (4.0 + 1e-9, 6.0, 12.0)] == pytest.approx([1 / 6, 1 / 12, 1 / 30])
    assert extrapolated([5.0] * 3, 7.0) == pytest.approx(1 / 4 / 3), "where all is the same, in its own units"


def test_requests_of_like_size_are_put_together() -> None:
    asked = [(size, (float(n),)) for size, count in ((1, 2), (2, 3), (5, 4), (9, 1)) for n in range(count)]
    assert [(size, len(ranks)) for size, ranks in of_like_size(asked, 4)] == [(2, 5), (9, 5)]
    assert [(size, len(ranks)) for size, ranks in of_like_size(asked, 1)] == [(1, 2), (2, 3), (5, 4), (9, 1)]
    assert [(size, len(ranks)) for size, ranks in of_like_size(asked, 99)] == [(9, 10)]
    assert all(ranks == sorted(ranks) for _, ranks in of_like_size(asked, 4))


@pytest.mark.parametrize("adversary", [OneClass(15), OutputAware(15)], ids=repr)
def test_attacks_are_seen_and_random_requests_are_not(adversary: OneClass | OutputAware, trained: Trained) -> None:
    assessor = Triage(SCREENS, false_alarms=0.01).fit(trained, SAMPLES)
    found = assessor.assess(adversary.choose(OutputView(trained, SAMPLES)))
    assert found.road == "safer"
    assert found.rarity <= 0.01
    assert "of benign requests reach" in str(found)
    looks_at = "classes" if isinstance(adversary, OneClass) else "wanted by OutputAware"
    assert any(reason.startswith(looks_at) for reason in found.reasons)
    harmless = assessor.assess(Random(15, seed=3).choose(OutputView(trained, SAMPLES)))
    assert harmless.road == "ordinary"
    assert not harmless.reasons


def test_calibrated_on_people_who_own_one_class_it_does_not_cry_wolf(trained: Trained) -> None:
    """What is usual is usual: holdings of one class alarm who was calibrated on random requests, and no one else."""
    of_class = [OneClass(8, seed=n).choose(OutputView(trained, SAMPLES)) for n in range(400)]
    strict = Triage([ClassConcentration()]).fit(trained, SAMPLES)
    fair = Triage([ClassConcentration()]).fit(trained, SAMPLES, benign=of_class[:200])
    assert all(strict.assess(r).road == "safer" for r in of_class[200:])
    assert sum(fair.assess(r).road == "safer" for r in of_class[200:]) < 30


class Constant(Screen):
    """Sees nothing: the control."""

    name = "nothing"

    def fit(self, trained: Trained, samples: Samples) -> Score:
        return lambda request: 0.0


def test_ranks_and_the_threshold_are_learned_from_different_requests(trained: Trained) -> None:
    asked: list[str] = []

    class Watching(Constant):
        def fit(self, trained: Trained, samples: Samples) -> Score:
            return lambda request: float(len(asked.append(request[0]) or asked))  # type: ignore[func-returns-value]

    Triage([Watching()]).fit(trained, SAMPLES, benign=[[i] for i in SAMPLES.ids])
    assert sorted(asked) == sorted(SAMPLES.ids), "each once"


def test_a_screen_that_sees_nothing_raises_no_alarm(trained: Trained) -> None:
    blind = Triage([Constant()]).fit(trained, SAMPLES)
    assert blind.assess(OneClass(15).choose(OutputView(trained, SAMPLES))).road == "ordinary"


def test_the_same_seed_gives_the_same_assessment(trained: Trained) -> None:
    request = random_requests(5, seed=2)[4]
    assert Triage(SCREENS).fit(trained, SAMPLES).assess(request) == Triage(SCREENS).fit(trained, SAMPLES).assess(
        request
    )


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"screens": []}, "no screens"),
        ({"screens": [OneClass(3)]}, r"OneClass\(budget=3.*is no screen"),
        ({"screens": [Constant(), Constant()]}, "the same thing twice"),
        ({"false_alarms": 0.0}, "false_alarms=0.0"),
        ({"sizes": (0,)}, "sizes"),
        ({"draws": 79}, "take 80"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(BadInputError, match=problem):
        Triage(**{"screens": [Constant()], **settings})  # type: ignore[arg-type]


def test_benign_requests_that_do_not_do(trained: Trained) -> None:
    with pytest.raises(BadInputError) as error:
        Triage([Constant()]).fit(trained, SAMPLES, benign=[[], ["nobody"]])
    assert len(error.value.problems) == 3


def test_nothing_to_ask_for_is_said(trained: Trained) -> None:
    with pytest.raises(BadInputError, match="no samples that could be asked for"):
        Triage([Constant()]).fit(trained, SAMPLES.only([]))


def test_requests_that_cannot_be_assessed(trained: Trained) -> None:
    assessor: Assessor = Triage([Constant()]).fit(trained, SAMPLES)
    with pytest.raises(BadInputError, match="names nothing"):
        assessor.assess([])
    with pytest.raises(BadInputError, match="1 ids are not among the samples"):
        assessor.assess(["nobody", SAMPLES.ids[0]])
