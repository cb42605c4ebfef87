from dataclasses import replace

import pytest
import torch
from tests.support import RandomWeights, Ridge, ridge_trained

from unscathed import BadInputError, Recipe, Samples, SpareSet, Trained, fit
from unscathed.audit import Difference
from unscathed.healing import MemorySignal
from unscathed.healing.memory import _excess, shows

Digits = tuple[Samples, Samples, Samples]


@pytest.fixture(scope="module")
def signal(digits: Digits, original: Trained, hard: tuple[str, ...]) -> MemorySignal:
    return MemorySignal.fit(original, retain=digits[0].without(hard), unseen=digits[1] + digits[2])


def test_the_original_remembers_and_gold_gives_no_alarm(
    signal: MemorySignal, digits: Digits, original: Trained, gold: Trained, hard: tuple[str, ...]
) -> None:
    """On hard samples, where an attack that compares them with others of their class sees nothing."""
    forgotten = digits[0].only(hard)
    excess = original.score(forgotten) - gold.score(forgotten)
    assert excess > 0.2
    found = signal.of(original, forgotten)
    assert shows(found, original.task, 0.02)
    assert 0.4 * excess < found.difference < 1.3 * excess
    assert not shows(signal.of(gold, forgotten), gold.task, 0.02)
    assert signal.of(gold, forgotten).difference < 0.5 * found.difference


def test_what_was_never_learned_gives_no_alarm(digits: Digits, original: Trained) -> None:
    """Test samples stand for forgotten ones that are no harder than the rest."""
    signal = MemorySignal.fit(original, retain=digits[0], unseen=digits[1])
    found = signal.of(original, digits[2])
    assert not shows(found, original.task, 0.02)
    assert abs(found.difference) < 0.05


def test_the_expected_score_by_hand(
    signal: MemorySignal, digits: Digits, original: Trained, hard: tuple[str, ...]
) -> None:
    """Each class of the unseen counts as much as it does among the forgotten."""
    forgotten = digits[0].only(hard)
    (reference,), (unseen,) = signal.references, signal.unseen
    means = [0.0, 0.0]
    for label in torch.unique(forgotten.targets):
        share = float((forgotten.targets == label).float().mean())
        own = unseen.at((unseen.targets == label).nonzero().flatten())
        means = [mean + share * model.score(own) for mean, model in zip(means, (original, reference), strict=True)]
    odds = [p / (1 - p) for p in (reference.score(forgotten), *means)]
    expected = odds[0] * odds[1] / odds[2] / (1 + odds[0] * odds[1] / odds[2])
    found = signal.of(original, forgotten)
    assert found.reference == pytest.approx(expected, abs=0.02), "but for half a sample each way"
    assert found.value == pytest.approx(original.score(forgotten))
    assert found.low < found.difference < found.high


def test_a_reference_sees_neither_the_forgotten_nor_the_unseen(signal: MemorySignal, hard: tuple[str, ...]) -> None:
    assert not set(signal.references[0].ids) & {*hard, *signal.unseen[0].ids}
    assert not signal.steps % 1
    assert signal.details["steps"] == signal.steps


def test_shares_can_be_added_too(
    signal: MemorySignal, digits: Digits, original: Trained, hard: tuple[str, ...]
) -> None:
    forgotten = digits[0].only(hard)
    found, other = replace(signal, shift="added").of(original, forgotten), signal.of(original, forgotten)
    (reference,), (unseen,) = signal.references, signal.unseen
    expected = reference.score(forgotten)
    for label in torch.unique(forgotten.targets):
        share = float((forgotten.targets == label).float().mean())
        own = unseen.at((unseen.targets == label).nonzero().flatten())
        expected += share * (original.score(own) - reference.score(own))
    assert found.reference == pytest.approx(expected, abs=1e-5)
    assert found.difference > other.difference
    assert found.high - found.low < other.high - other.low


def test_a_broken_model_is_compared_with_the_reference(
    signal: MemorySignal, digits: Digits, original: Trained, hard: tuple[str, ...]
) -> None:
    """Otherwise, breaking a model would find memory in it, and turns would chase it down."""
    forgotten = digits[0].only(hard)
    broken = RandomWeights().unlearn(original, digits[0], hard)
    found = signal.of(broken, forgotten)
    assert found.reference == pytest.approx(signal.references[0].score(forgotten))
    assert not shows(found, original.task, 0.02)


def test_twins_that_the_model_was_healed_on_are_not_unseen(
    signal: MemorySignal, digits: Digits, original: Trained, hard: tuple[str, ...]
) -> None:
    forgotten = digits[0].only(hard)
    twins = digits[1].ids[:50]
    healed = replace(original, ids=(*original.ids, *twins))
    without = replace(signal, unseen=(signal.unseen[0].without(twins),))
    assert signal.of(healed, forgotten) == without.of(original, forgotten)
    assert signal.of(healed, forgotten) != signal.of(original, forgotten)
    with pytest.raises(BadInputError, match="has seen all"):
        signal.of(replace(original, ids=signal.unseen[0].ids), forgotten)


def test_a_reference_that_falls_short_trains_for_longer(digits: Digits, original: Trained) -> None:
    whole = original.history[0].steps
    short = MemorySignal.fit(original, retain=digits[0], unseen=digits[1], share=0.02)
    lengths = [round(0.02 * whole * 2**k) for k in range(5)]
    reached = original.score(digits[1]) - short.references[0].score(digits[1]) <= 0.05
    assert short.references[0].history[0].steps in lengths[2:]
    assert reached or short.references[0].history[0].steps == lengths[4]
    assert short.steps == sum(n for n in lengths if n <= short.references[0].history[0].steps)


def test_without_training_data_spares_tell(
    digits: Digits, original: Trained, gold: Trained, hard: tuple[str, ...]
) -> None:
    unseen = digits[1] + digits[2]
    signal = MemorySignal.fit(original, unseen=unseen)
    for reference, part in zip(signal.references, signal.unseen, strict=True):
        assert not set(reference.ids) & set(part.ids), "a reference is compared where it was not trained"
        assert set(reference.ids) | set(part.ids) == set(unseen.ids)
    forgotten = digits[0].only(hard)
    ours, golds = signal.of(original, forgotten), signal.of(gold, forgotten)
    assert ours.difference > golds.difference
    assert not shows(golds, gold.task, 0.02)


def test_where_no_unseen_of_the_class_is_left_all_count_alike(
    signal: MemorySignal, digits: Digits, original: Trained, hard: tuple[str, ...]
) -> None:
    forgotten = digits[0].only([i for i, t in zip(hard, digits[0].only(hard).targets, strict=True) if t == 3])
    (reference,), (unseen,) = signal.references, signal.unseen
    others = unseen.at((unseen.targets != 3).nonzero().flatten())
    found = replace(signal, unseen=(others,)).of(original, forgotten)
    odds = [p / (1 - p) for p in (reference.score(forgotten), original.score(others), reference.score(others))]
    expected = odds[0] * odds[1] / odds[2] / (1 + odds[0] * odds[1] / odds[2])
    assert found.reference == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("shares", [True, False])
def test_the_interval_covers_what_chance_does(shares: bool) -> None:
    """Forgotten and unseen samples are alike, so the truth is 0; 400 draws, of models that agree in most."""
    generator = torch.Generator().manual_seed(0)
    covered, above = 0, 0
    for _ in range(400):
        hard = torch.rand(260, generator=generator)
        scores = [(torch.rand(260, generator=generator) < p).float() for p in (1 - 0.3 * hard, 1 - 0.5 * hard)]
        ours, reference = (s if shares else 7 * s - 3 for s in scores)
        found = _excess(ours[:60], reference[:60], ours[60:], reference[60:], torch.ones(200), shares=shares)
        covered += found.low < 0 < found.high
        above += found.low > 0
    assert covered / 400 > 0.93
    assert above / 400 < 0.05


def test_a_task_without_classes_is_told_by_its_scores() -> None:
    """Ridge regression in as many dimensions as samples remembers the noise of its targets."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(120, 30, generator=generator, dtype=torch.float64)
    targets = inputs[:, 0] + torch.randn(120, generator=generator, dtype=torch.float64)
    samples = Samples(inputs, targets)
    retain, forgotten, unseen = (samples.at(torch.arange(*r)) for r in ((0, 30), (30, 40), (40, 120)))
    recipe = Recipe(steps=200, batch_size=40, learning_rate=0.1, weight_decay=0.0, precision="float32")
    original = fit(Ridge(30), retain + forgotten, recipe, seed=0)
    gold = fit(Ridge(30), retain, recipe, seed=0)
    signal = MemorySignal.fit(original, retain=retain, unseen=unseen)
    assert signal.of(original, forgotten).difference > signal.of(gold, forgotten).difference
    assert not shows(signal.of(gold, forgotten), gold.task, 0.02)


def test_memory_shows_beyond_tolerance_and_chance(original: Trained) -> None:
    assert shows(Difference(0.9, 0.5, 0.3, 0.5), original.task, 0.02)
    assert not shows(Difference(0.9, 0.5, -0.1, 0.9), original.task, 0.02), "by chance, perhaps"
    assert not shows(Difference(0.51, 0.5, 0.005, 0.015), original.task, 0.02), "tolerated"
    ridge, _ = ridge_trained()
    ridge.task.score_range = 100.0
    assert not shows(Difference(-1.0, -2.0, 0.9, 1.1), ridge.task, 0.02), "in units of the task's scores"


def test_what_cannot_be_compared_is_named(
    signal: MemorySignal, digits: Digits, original: Trained, reserve: SpareSet
) -> None:
    with pytest.raises(BadInputError) as caught:
        MemorySignal.fit(original, retain=digits[1], unseen=digits[1] + digits[0].at(torch.arange(3)), share=0.0)
    for part in ("share=0.0", "3 of the unseen were trained on", "of the unseen are retained"):
        assert part in str(caught.value)
    with pytest.raises(BadInputError, match="trained on 5 of the forgotten"):
        signal.of(original, digits[0].only(signal.references[0].ids[:5]))
    with pytest.raises(BadInputError, match="too few"):
        MemorySignal.fit(original, unseen=digits[1].at(torch.arange(1)))
