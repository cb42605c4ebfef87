"""Adversaries are found by name, and look at no more than they need."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.experiments import read, store, tiny

import unscathed as us
from unscathed import BadInputError
from unscathed.lab.components import Component
from unscathed.lab.runner import run
from unscathed.lab.seeds import Seeds
from unscathed.lab.work import Bench, Measurement, Open, Original
from unscathed.lab.work.requests import Choice, Values


def test_an_experiment_with_blind_and_output_aware_rankings(tmp_path: Path) -> None:
    experiment = tiny(adversary=["Outliers", "HighestLoss"], recipe={"epochs": 1}, unlearner="Retrain", healer=[])
    outcome = run(experiment, tmp_path / "r", store=store(tmp_path))
    assert (outcome.failures, outcome.computed["scores"], outcome.computed["forget-set"]) == ({}, 2, 2)
    frame = read(tmp_path / "r")
    assert set(frame.adversary) == {"Outliers", "HighestLoss"}
    gold = frame[(frame.stage == "gold") & (frame.measure == "test_accuracy")].set_index("adversary").value
    seeds, data = Seeds.of(0), us.datasets.digits()
    samples, _ = data.samples.split(reserve=0.1, seed=seeds.split)
    forget = us.adversaries.Outliers().choose(us.BlindView(samples))
    task = us.ClassificationTask(us.models.DigitNet, 10)
    original = us.fit(task, samples, us.Recipe(epochs=1, batch_size=64), seed=seeds.training)
    retrained = us.Retrain().unlearn(original, samples, forget)
    assert gold["Outliers"] == pytest.approx(100 * retrained.score(data.test), abs=1e-4)


def test_who_looks_at_a_validation_loss_aims_at_samples_that_nothing_is_reported_of(tmp_path: Path) -> None:
    apart, alike = (
        tiny(adversary="ParameterAware", unlearner="Retrain", healer=[], recipe={"epochs": 1}, validation=share)
        for share in (0.4, None)
    )
    bench, data = Bench(store(tmp_path)), us.datasets.digits()
    test, validation = data.test.split(reserve=0.4, seed=0)
    for experiment, aim, reported in ((apart, validation, test), (alike, data.test, data.test)):
        setting = experiment.cells[0].setting
        opened, original = bench.obtain(Open(setting)), bench.obtain(Original(setting))
        view = us.ParameterView(original, opened.samples, validation=aim)
        chosen = bench.obtain(Choice(setting, named("ParameterAware")))
        assert chosen == us.adversaries.ParameterAware().choose(view)
        run(experiment, tmp_path / str(len(aim)), store=store(tmp_path))
        frame = read(tmp_path / str(len(aim)))
        gold = frame[(frame.stage == "gold") & (frame.measure == "test_accuracy")].iloc[0]
        retrained = us.Retrain().unlearn(original, opened.samples, chosen)
        assert gold.test_samples == len(reported)
        assert gold.value == pytest.approx(100 * retrained.score(reported), abs=1e-4)
    assert not set(test.ids) & set(validation.ids)


def test_where_nothing_is_set_apart_results_keep_their_names() -> None:
    """Files of a results folder that were measured before are still found; others are not taken for them."""
    setting = tiny().cells[0].setting
    before = Measurement(setting, named("Random"), "gold")
    content = json.dumps([before.axes, vars(setting.seeds)], sort_keys=True)
    assert before.name == hashlib.blake2b(content.encode(), digest_size=12).hexdigest()
    assert replace(before, setting=replace(setting, validation=0.5)).name != before.name
    assert Open(replace(setting, validation=0.5)).key != Open(setting).key


def named(name: str, **arguments: Any) -> Component:
    return Component("adversary", name, tuple(sorted(arguments.items())))


@pytest.mark.parametrize("name", ["Outliers", "RareSubgroups", "Prototypes", "Random"])
def test_blind_adversaries_wait_for_no_model(name: str, tmp_path: Path) -> None:
    setting = tiny().cells[0].setting
    wanted: Values | Choice = Choice(setting, named(name))
    if wanted.needs() == (Values(setting, named(name)),):
        wanted = Values(setting, named(name))
    assert wanted.needs() == (Open(setting),)
    chosen = Bench(store(tmp_path)).obtain(Choice(setting, named(name, budget=7)))
    assert len(set(chosen)) == 7


def test_rankings_that_draw_are_kept_for_each_seed() -> None:
    setting = tiny().cells[0].setting
    other = replace(setting, seeds=replace(setting.seeds, adversary=99))
    drawing, certain = named("RareSubgroups"), named("Outliers")
    assert Values(setting, drawing).key != Values(other, drawing).key
    assert Values(setting, certain).key == Values(other, certain).key
    assert Values(setting, named("Outliers", budget=3)).key == Values(setting, certain).key
    assert Values(setting, named("HighestLoss")).needs() == (Original(setting),)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SurrogateGreedy", "adversary = SurrogateGreedy cannot be made"),
        ("ForgettingEvents", "adversary = ForgettingEvents cannot be made"),
        ("Memorised", "adversary = Memorised cannot be made"),
        ("BlindView", "there is no adversary 'BlindView'"),
        ("QueryBudgetError", "there is no adversary 'QueryBudgetError'"),
        ("fit_watched", "there is no adversary 'fit_watched'"),
        ("Hubs", "there is no adversary 'Hubs'"),
    ],
)
def test_what_no_file_can_name(name: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        tiny(adversary=name)
