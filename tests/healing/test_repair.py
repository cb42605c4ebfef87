from dataclasses import replace

import pytest
import torch
from tests.support import blobs, tiny_task, trained_by_hand
from torch import nn

from unscathed import BadInputError, ClassificationTask, Recipe, Samples, Sisa, Trained, fit
from unscathed.healing import graft_layers, recalibrate, reset_layers

SAMPLES = blobs(60)
FORGET = SAMPLES.ids[:6]
RETAIN = SAMPLES.without(FORGET)
TWINS = blobs(6, seed=7)


def normed() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)
    ).double()


TASK = ClassificationTask(normed, 3)


def doubles(samples: Samples) -> Samples:
    return Samples(samples.inputs.double(), samples.targets, samples.ids)


def test_statistics_are_those_of_all_samples_exactly() -> None:
    retain, twins = doubles(RETAIN), doubles(TWINS)
    trained = trained_by_hand(TASK, retain)
    mended = recalibrate(trained, retain=retain, twins=twins)
    model = mended.model()
    with torch.no_grad():
        inputs = torch.cat([retain.inputs, twins.inputs])
        for norm in (1, 4):
            # In evaluation mode, so each norm stands on what those before it keep by now.
            entering = model[:norm](inputs)
            torch.testing.assert_close(mended.weights[f"{norm}.running_mean"], entering.mean(0), rtol=0, atol=1e-12)
            torch.testing.assert_close(
                mended.weights[f"{norm}.running_var"], entering.var(0, correction=0), rtol=1e-12, atol=0
            )
    others = [n for n in trained.weights if "running" not in n]
    assert all(torch.equal(mended.weights[n], trained.weights[n]) for n in others)
    event = mended.history[-1]
    assert (event.kind, event.samples, event.steps) == ("healed", 60, 2)
    assert event.details == {"repair": "recalibrate", "norms": 2}
    assert set(mended.ids) == set(retain.ids) | set(twins.ids)


def test_moments_are_joined_over_batches() -> None:
    many = doubles(blobs(601))
    trained = trained_by_hand(TASK, many)
    mended = recalibrate(trained, retain=many, most=601)
    with torch.no_grad():
        entering = trained.model()[:1](many.inputs)
    torch.testing.assert_close(mended.weights["1.running_mean"], entering.mean(0), rtol=0, atol=1e-12)
    torch.testing.assert_close(mended.weights["1.running_var"], entering.var(0, correction=0), rtol=1e-12, atol=0)
    fewer = recalibrate(trained, retain=many, most=50)
    assert fewer.history[-1].samples == 50
    assert not torch.equal(fewer.weights["1.running_mean"], mended.weights["1.running_mean"])


def test_images_have_statistics_by_channel() -> None:
    generator = torch.Generator().manual_seed(0)
    images = Samples(torch.randn(20, 3, 5, 5, generator=generator) * 3 + 2, torch.arange(20) % 3)
    task = ClassificationTask(
        lambda: nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)), 3
    )
    mended = recalibrate(trained_by_hand(task, images), retain=images)
    expected = images.inputs.transpose(0, 1).flatten(1)
    torch.testing.assert_close(mended.weights["0.running_mean"], expected.mean(1))
    torch.testing.assert_close(mended.weights["0.running_var"], expected.var(1, correction=0))


def test_spoiled_statistics_are_mended() -> None:
    retain = doubles(SAMPLES)
    trained = fit(TASK, retain, Recipe(epochs=20, batch_size=8), seed=0)
    spoiled = {n: w + 5 if "running" in n else w for n, w in trained.weights.items()}
    damaged = replace(trained, weights=spoiled)
    assert damaged.score(retain) < 0.8
    assert recalibrate(damaged, retain=retain).score(retain) > 0.95


def test_a_model_without_running_statistics_stays_as_it_is() -> None:
    plain = trained_by_hand(tiny_task(), RETAIN)
    assert recalibrate(plain, retain=RETAIN) is plain
    task = ClassificationTask(lambda: nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False), nn.Linear(3, 3)), 3)
    trained = trained_by_hand(task, RETAIN)
    assert recalibrate(trained, retain=RETAIN) is trained


def test_statistics_are_not_taken_of_the_forgotten() -> None:
    trained = trained_by_hand(TASK, doubles(RETAIN))
    with pytest.raises(BadInputError, match="6 retained samples are not in the model"):
        recalibrate(trained, retain=doubles(SAMPLES))
    with pytest.raises(BadInputError, match="at least two samples"):
        recalibrate(trained, twins=doubles(TWINS.only(TWINS.ids[:1])))
    twice = recalibrate(trained, retain=doubles(RETAIN), twins=doubles(RETAIN.only(RETAIN.ids[:3])))
    assert twice.history[-1].samples == len(RETAIN), "spares that were spent before are looked at once"
    assert len(set(twice.ids)) == len(twice.ids)


def test_shards_are_not_tied_together_by_their_statistics() -> None:
    sharded = Sisa(shards=2, slices=1).fit(TASK, doubles(SAMPLES), Recipe(epochs=1), seed=0)
    with pytest.raises(BadInputError, match="in shards, and statistics of all samples would tie them together"):
        recalibrate(sharded, retain=doubles(SAMPLES))


def test_reset_layers_are_fresh_and_the_rest_stays() -> None:
    trained = trained_by_hand(TASK, doubles(RETAIN))
    trained = replace(trained, weights={n: w + 3 for n, w in trained.weights.items()})
    reset = reset_layers(trained, ["3", "4"])
    moved = [n for n in trained.weights if not torch.equal(trained.weights[n], reset.weights[n])]
    assert {n.split(".")[0] for n in moved} == {"3", "4"}
    assert torch.equal(reset.weights["4.running_mean"], torch.zeros(6).double())
    assert reset.weights["3.weight"].abs().max() <= 8**-0.5, "as nn.Linear draws them"
    assert reset.ids == trained.ids
    assert reset.history[-1].details == {"repair": "reset", "layers": ["3", "4"]}
    again, other = reset_layers(trained, ["3", "4"]), reset_layers(trained, ["3", "4"], seed=1)
    assert torch.equal(reset.weights["3.weight"], again.weights["3.weight"])
    assert not torch.equal(reset.weights["3.weight"], other.weights["3.weight"])


def test_fresh_weights_are_others_than_the_model_began_with() -> None:
    fitted = fit(TASK, doubles(RETAIN), Recipe(steps=1, learning_rate=1e-9), seed=0)
    reset = reset_layers(fitted, ["0"])
    assert (reset.weights["0.weight"] - fitted.weights["0.weight"]).abs().max() > 0.01


def test_a_modules_name_stands_for_all_in_it() -> None:
    sharded = Sisa(shards=2, slices=1).fit(tiny_task(), SAMPLES, Recipe(epochs=1), seed=0)
    reset = reset_layers(sharded, "members.1")
    moved = {n for n in sharded.weights if not torch.equal(sharded.weights[n], reset.weights[n])}
    assert moved == {n for n in sharded.weights if n.startswith("members.1.")}


@pytest.fixture
def before() -> Trained:
    return trained_by_hand(tiny_task(), SAMPLES, seed=1)


@pytest.fixture
def unlearned(before: Trained) -> Trained:
    return trained_by_hand(before.task, RETAIN, seed=2)


def test_layers_of_a_model_that_knew_the_forgotten_are_refused(before: Trained, unlearned: Trained) -> None:
    with pytest.raises(BadInputError, match="trained on 6 samples that are not in the model"):
        graft_layers(unlearned, before, ["2"])
    grafted = graft_layers(unlearned, before, ["2"], allow_memory=True)
    assert grafted.ids == unlearned.ids, "the forgotten stay out of the record"
    assert grafted.history[-1].details == {"repair": "graft", "layers": ["2"], "remembered": 6}
    assert all(
        torch.equal(grafted.weights[n], (before if n.startswith("2.") else unlearned).weights[n])
        for n in unlearned.weights
    )


def test_layers_of_a_checkpoint_that_never_saw_them_are_taken(before: Trained, unlearned: Trained) -> None:
    checkpoint = replace(before, ids=RETAIN.ids[:20])
    grafted = graft_layers(unlearned, checkpoint, ["0"])
    assert grafted.history[-1].details["remembered"] == 0
    assert torch.equal(grafted.weights["0.weight"], before.weights["0.weight"])


def test_layers_that_are_not_there_are_named(before: Trained, unlearned: Trained) -> None:
    with pytest.raises(BadInputError, match="no layers with weights named '1', 'head'; it has '0', '2'"):
        reset_layers(unlearned, ["0", "1", "head"])
    with pytest.raises(BadInputError, match="no layers are named"):
        reset_layers(unlearned, [])
    other = trained_by_hand(TASK, SAMPLES)
    with pytest.raises(BadInputError) as caught:
        graft_layers(unlearned, other, ["nowhere"])
    assert "3 problems" in str(caught.value)
