"""Generative models go the whole way, fit to audit, by the code that classifiers go by."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import pytest
import torch
from sklearn import datasets as bundled
from tests.support import NoOp

from unscathed import (
    Fisher,
    Healer,
    Influence,
    Recipe,
    Retrain,
    Samples,
    Sisa,
    SpareSet,
    Steward,
    Task,
    Trained,
    Unlearner,
    fit,
)
from unscathed.adversaries import BlindView, OutputAware, OutputView, ParameterAware, ParameterView, Random
from unscathed.audit import audit
from unscathed.lab import datasets
from unscathed.lab.models import CharacterTransformer, DenseAutoencoder
from unscathed.lab.tasks import LanguageModel, VariationalAutoencoder
from unscathed.training import state_of
from unscathed.unlearners.sisa import member_of


@dataclass(frozen=True)
class Chain:
    """A small generative model that remembers what it was trained on, and a forget set that it is worst on."""

    task: Task
    samples: Samples
    spares: Samples
    test: Samples
    recipe: Recipe

    @cached_property
    def original(self) -> Trained:
        return fit(self.task, self.samples, self.recipe, seed=0)

    @cached_property
    def forget(self) -> tuple[str, ...]:
        return OutputAware(0.1).choose(OutputView(self.original, self.samples))

    @cached_property
    def gold(self) -> Trained:
        return Retrain().unlearn(self.original, self.samples, self.forget)


def autoencoder(_: Path) -> Chain:
    digits = datasets.digits()
    rest, samples = digits.samples.split(reserve=100, seed=0)
    spares = rest.split(reserve=100, seed=0)[1]
    parts = [Samples(part.inputs, None, part.ids) for part in (samples, spares, digits.test)]
    task = VariationalAutoencoder(partial(DenseAutoencoder, digits.facts["shape"], 8, (128,)))
    return Chain(task, *parts, Recipe(epochs=300, batch_size=32, learning_rate=1e-2, device="cpu"))


def writer(folder: Path) -> Chain:
    loaders = (bundled.load_digits, bundled.load_wine, bundled.load_breast_cancer, bundled.load_diabetes)
    (folder / "text.txt").write_text("\n".join(load().DESCR for load in loaders))
    dataset = datasets.characters(folder / "text.txt", length=24, test=0.3)
    samples, spares = dataset.samples.split(reserve=0.25, seed=0)
    model = partial(CharacterTransformer, **dataset.facts, width=32, heads=2, layers=1)
    task = LanguageModel(model, dataset.facts["vocabulary"])
    return Chain(task, samples, spares, dataset.test, Recipe(epochs=30, batch_size=32, device="cpu"))


@pytest.fixture(scope="module", params=[autoencoder, writer], ids=["autoencoder", "writer"])
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    make: Callable[[Path], Chain] = request.param
    return make(tmp_path_factory.mktemp("text"))


def test_it_has_learned_and_remembers(chain: Chain) -> None:
    """The controls: an untrained model is not whole, and the original has not forgotten."""
    samples = {"forgotten": chain.samples.only(chain.forget), "test": chain.test, "gold": chain.gold}
    untrained = replace(chain.original, weights=state_of(chain.task.build()))
    assert audit(untrained, **samples).whole == "fail"
    unchanged = NoOp().unlearn(chain.original, chain.samples, chain.forget)
    verdict = audit(unchanged, original=chain.original, **samples)
    assert verdict.whole == "pass"
    assert verdict.forgotten == "fail"
    assert not verdict.powerless
    assert audit(chain.gold, original=chain.original, **samples).forgotten == "pass"


def test_adversaries_choose(chain: Chain) -> None:
    losses = chain.original.evaluate(chain.samples).losses
    chosen = chain.samples.positions(chain.forget)
    assert losses[chosen].min() >= losses.sort().values[-len(chosen)]
    assert len(Random(0.1).choose(BlindView(chain.samples))) == len(chosen)

    view = ParameterView(chain.original, chain.samples, validation=chain.test)
    wanted = ParameterAware(5).choose(view)
    model, function = chain.original.model(), view.function()
    direction = function.mean_gradient(chain.test)
    for sample in (wanted[0], chain.samples.ids[0]):
        batch = chain.task.prepare(chain.samples.only([sample]).take(torch.arange(1)))
        model.zero_grad()
        chain.task.losses(chain.task.outputs(model, batch), batch).sum().backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        (along,) = function.directional_derivatives(chain.samples.only([sample]), direction)
        torch.testing.assert_close(gradient @ direction, along, rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Influence took")
@pytest.mark.parametrize("unlearner", [Fisher(), Influence(iterations=8), Retrain()], ids=lambda u: type(u).__name__)
def test_unlearned_healed_and_audited(chain: Chain, unlearner: Unlearner) -> None:
    forgotten, retain = chain.samples.only(chain.forget), chain.samples.without(chain.forget)
    exact = isinstance(unlearner, Retrain)
    unlearned = chain.gold if exact else unlearner.unlearn(chain.original, chain.samples, chain.forget)
    assert not set(unlearned.ids) & set(chain.forget)
    if not exact:
        assert 0 < unlearned.history[-1].details["kl"] <= 0.05
    twins = SpareSet(chain.spares).match(forgotten, chain.original)
    assert len(twins) == len(chain.forget)
    healed = Healer().heal(unlearned, retain=retain, twins=twins.samples)
    verdict = audit(healed, forgotten=forgotten, test=chain.test, gold=chain.gold, original=chain.original)
    assert verdict.whole == "pass", str(verdict)
    assert healed.score(chain.test) > unlearned.score(chain.test) - 0.01 * chain.task.score_range


def test_a_steward_keeps_it_without_gold(chain: Chain) -> None:
    steward = Steward(
        chain.original, chain.samples, SpareSet(chain.spares), unlearner=Fisher(), healer=Healer(), test=chain.test
    )
    outcome = steward.forget(chain.forget)
    assert outcome.verdict.whole == "pass", str(outcome.verdict)
    assert "There is no gold here" in str(outcome.verdict)
    assert [event.kind for event in outcome.history] == ["fitted", "unlearned", "healed"]


def test_in_shards_it_forgets_exactly(chain: Chain) -> None:
    sisa = Sisa(shards=2, slices=2)
    recipe = chain.recipe.lasting(epochs=10)
    trained = sisa.fit(chain.task, chain.samples, recipe, seed=0)
    forget = OutputAware(3).choose(OutputView(trained, chain.samples))
    unlearned = sisa.unlearn(trained, chain.samples, forget)
    twins = SpareSet(chain.spares).match(chain.samples.only(forget), trained)
    healed = Healer().heal(unlearned, retain=chain.samples.without(forget), twins=twins.samples)
    verdict = audit(
        healed, forgotten=chain.samples.only(forget), test=chain.test, gold=unlearned, same_procedure=unlearned
    )
    assert verdict.utility[0].outcome != "fail"
    # Together the shards are at least as good as one by one, on average: they answer as a mixture.
    losses = trained.evaluate(chain.test).losses
    alone = torch.stack([member_of(trained, shard).evaluate(chain.test).losses for shard in range(2)])
    assert (losses <= alone.mean(dim=0) + 1e-4).all()
    assert trained.quality(chain.test) == {}
