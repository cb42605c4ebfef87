from dataclasses import replace

import pytest
import torch
from tests.support import NoOp, Ridge, TinyTransformer, blobs, ridge_trained, tiny_task, trained_by_hand
from torch import nn

from unscathed import BadInputError, Batch, ClassificationTask, Recipe, Samples, SelectiveDampening, Task, Trained, fit
from unscathed.adversaries import OutputAware, OutputView
from unscathed.lab.models import CharacterTransformer
from unscathed.lab.tasks import LanguageModel
from unscathed.unlearners.selective_dampening import SquaredNorm


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(27, 3)).double()


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def tokens(count: int) -> torch.Tensor:
    return torch.randint(0, 11, (count, 5), generator=torch.Generator().manual_seed(1))


CASES: dict[str, tuple[Task, Samples]] = {
    "convolution": (ClassificationTask(convolutional, 3), Samples(normal(40, 1, 5, 5), torch.arange(40) % 3)),
    "transformer": (ClassificationTask(TinyTransformer, 3), Samples(tokens(40), torch.arange(40) % 3)),
    "regression": (Ridge(6), Samples(normal(40, 6), normal(40))),
    "language": (
        LanguageModel(lambda: CharacterTransformer(11, 5, width=8, heads=2).double(), 11),
        Samples(tokens(40).clamp_min(1)),
    ),
}


def importances(trained: Trained, samples: Samples, kind: str) -> list[list[float]]:
    """By parameter: a loop over samples, each differentiated alone."""
    model, task = trained.model(), trained.task
    totals = [torch.zeros_like(p) for p in model.parameters()]
    for row in range(len(samples)):
        batch = task.prepare(samples.take(torch.tensor([row])))
        outputs = task.outputs(model, batch)
        measured = task.losses(outputs, batch).sum() if kind == "loss" else outputs.pow(2).sum()
        model.zero_grad()
        measured.backward()
        for total, p in zip(totals, model.parameters(), strict=True):
            total += p.grad**2  # type: ignore[operator]
    return [(total / len(samples)).flatten().tolist() for total in totals]


@pytest.mark.parametrize("kind", ["loss", "outputs"])
@pytest.mark.parametrize("name", CASES)
def test_dampening_is_what_a_loop_over_parameters_does(name: str, kind: str) -> None:
    task, samples = CASES[name]
    trained = trained_by_hand(task, samples)
    forget = samples.ids[3:7]
    alpha, dampening = 1.2, 1.1
    method = SelectiveDampening(alpha=alpha, dampening=dampening, importance=kind, kl_budget=None)  # type: ignore[arg-type]
    details = (unlearned := method.unlearn(trained, samples, forget)).history[-1].details
    to_all, to_forgotten = importances(trained, samples, kind), importances(trained, samples.only(forget), kind)
    rounding = 1e-30 * max(max(values) for values in to_all)
    kept = capped = shrunk = 0
    for index, (name, parameter) in enumerate(trained.model().named_parameters()):
        expected = parameter.detach().flatten().tolist()
        for place, (of_all, of_forgotten) in enumerate(zip(to_all[index], to_forgotten[index], strict=True)):
            if of_all > rounding and of_forgotten > alpha * of_all:
                factor = dampening * of_all / of_forgotten
                shrunk += 1
                capped += factor > 1
                expected[place] *= min(factor, 1)
            else:
                kept += 1
        found = unlearned.weights[name].flatten()
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-14)
    assert min(kept, shrunk) > 0, "both branches were taken"
    assert (details["dampened"], details["parameters"]) == (shrunk, shrunk + kept)
    assert (details["alpha"], details["raised"]) == (alpha, False)
    assert capped == 0
    growing = SelectiveDampening(alpha=alpha, dampening=1e9, importance=kind, kl_budget=None)  # type: ignore[arg-type]
    grown = growing.unlearn(trained, samples, forget).weights
    assert all(torch.equal(weight, trained.weights[name]) for name, weight in grown.items()), "nothing ever grows"


def test_the_source_s_settings_collapse_on_hard_samples_and_the_guard_holds(
    original: Trained, digits: tuple[Samples, Samples, Samples]
) -> None:
    samples, _, test = digits
    forget = OutputAware(0.05).choose(OutputView(original, samples))
    reckless = SelectiveDampening(kl_budget=None).unlearn(original, samples, forget)
    assert reckless.score(test) < 0.5
    assert not reckless.history[-1].details["raised"]
    previous = 10.0
    for budget in (0.2, 0.05, 0.01):
        guarded = SelectiveDampening(kl_budget=budget).unlearn(original, samples, forget)
        details = guarded.history[-1].details
        assert details["kl"] <= budget
        assert details["raised"]
        assert details["dampened"] > 0
        assert details["alpha"] > previous
        previous = details["alpha"]
        assert guarded.score(test) > original.score(test) - 0.1
        # Barely any lower an α is affordable.
        lower = SelectiveDampening(alpha=details["alpha"] * 0.97, kl_budget=None)
        assert lower.unlearn(original, samples, forget).history[-1].details["kl"] > budget


def test_it_forgets_toward_gold(
    original: Trained, gold: Trained, digits: tuple[Samples, Samples, Samples], hard: tuple[str, ...]
) -> None:
    samples, _, test = digits
    forgotten = samples.only(hard)
    unlearned = SelectiveDampening(alpha=2.0).unlearn(original, samples, hard)
    idle = NoOp().unlearn(original, samples, hard)
    gap = idle.score(forgotten) - gold.score(forgotten)
    assert idle.score(forgotten) - unlearned.score(forgotten) > 0.3 * gap
    assert unlearned.score(test) > original.score(test) - 0.1


def test_importance_to_all_is_of_what_is_still_in_the_model() -> None:
    samples = blobs(120)
    trained = fit(tiny_task(), samples, Recipe(epochs=3, batch_size=16), seed=0)
    first, second = samples.ids[:5], samples.ids[5:9]
    method = SelectiveDampening(alpha=2.0)
    once = method.unlearn(trained, samples, first)
    twice = method.unlearn(once, samples, second)
    other = method.unlearn(once, samples.without(first), second)
    assert all(torch.equal(twice.weights[name], w) for name, w in other.weights.items())
    assert twice.history[-1].details == other.history[-1].details
    assert [e.kind for e in twice.history] == ["fitted", "unlearned", "unlearned"]


def test_the_cost_is_one_pass() -> None:
    trained, samples = ridge_trained(count=50)
    method = SelectiveDampening(alpha=1.1, kl_budget=None)
    assert method.unlearn(trained, samples, samples.ids[:7]).history[-1].steps == 1 + 3  # batches of 16 of 7 and of 43


def test_an_alpha_that_can_select_nothing_is_refused() -> None:
    trained, samples = ridge_trained(count=40)
    # What was forgotten before is no part of the model, though it is still handed in.
    less = replace(trained, ids=trained.ids[10:])
    with pytest.raises(BadInputError, match=r"alpha=10.0 selects nothing: 3 of 30 samples .* 10 times as important"):
        SelectiveDampening().unlearn(less, samples, samples.ids[10:13])
    with pytest.raises(BadInputError, match=r"alpha=10.0 selects nothing: 4 of 40 samples .* 10 times as important"):
        SelectiveDampening().unlearn(trained, samples, samples.ids[:4])
    with pytest.warns(UserWarning, match=r"not forgotten: no parameter is more than .* times as important"):
        idle = SelectiveDampening().unlearn(trained, samples, samples.ids[:3])
    assert torch.equal(idle.weights["weight"], trained.weights["weight"])
    with pytest.warns(UserWarning, match="not forgotten: whatever was dampened would cost more than kl_budget"):
        SelectiveDampening(alpha=1.01, kl_budget=1e-300).unlearn(trained, samples, samples.ids[:3])


def test_without_an_alpha_the_budget_finds_one_for_large_requests_too(
    original: Trained, digits: tuple[Samples, Samples, Samples]
) -> None:
    samples, _, test = digits
    forget = OutputAware(0.3).choose(OutputView(original, samples))
    with pytest.raises(BadInputError, match="or None to find the lowest"):
        SelectiveDampening().unlearn(original, samples, forget)
    unlearned = SelectiveDampening(alpha=None).unlearn(original, samples, forget)
    details = unlearned.history[-1].details
    assert 0.01 < details["kl"] <= 0.05
    assert 1 < details["alpha"] < 1 / 0.3
    assert details["dampened"] > 0
    assert not details["raised"]
    assert unlearned.score(test) > original.score(test) - 0.1
    # The lowest: barely any lower an α is affordable.
    lower = SelectiveDampening(alpha=details["alpha"] * 0.97, kl_budget=None)
    assert lower.unlearn(original, samples, forget).history[-1].details["kl"] > 0.05


def test_parameters_without_importance_are_left_alone() -> None:
    targets = normal(40).index_fill(0, torch.arange(4), 10.0)
    samples = Samples(torch.cat([normal(40, 4), 1e-20 * normal(40, 1), torch.zeros(40, 1)], dim=1), targets)
    trained = trained_by_hand(Ridge(6), samples)
    unlearned = SelectiveDampening(alpha=1.5, kl_budget=None).unlearn(trained, samples, samples.ids[:4])
    assert torch.equal(unlearned.weights["weight"][0, 4:], trained.weights["weight"][0, 4:])
    assert not torch.equal(unlearned.weights["weight"], trained.weights["weight"])
    assert torch.isfinite(unlearned.weights["weight"]).all()


def test_in_bfloat16() -> None:
    samples = blobs(120)
    trained = fit(tiny_task(), samples, Recipe(epochs=3, batch_size=16, precision="bfloat16"), seed=0)
    unlearned = SelectiveDampening(alpha=2.0).unlearn(trained, samples, samples.ids[:6])
    assert unlearned.history[-1].details["dampened"] > 0
    assert all(w.dtype == torch.float32 and torch.isfinite(w).all() for w in unlearned.weights.values())


def test_the_norm_of_outputs_in_several_parts_is_that_of_all() -> None:
    whole = normal(4, 6)
    batch = Batch(whole, whole)
    losses = SquaredNorm(tiny_task()).losses
    parts = {"one": whole[:, :2].view(4, 2, 1), "others": (whole[:, 2:3], [whole[:, 3:]])}
    torch.testing.assert_close(losses(parts, batch), whole.square().sum(dim=1))


def test_settings_that_cannot_be() -> None:
    with pytest.raises(BadInputError, match="3 problems") as caught:
        SelectiveDampening(alpha=0.0, dampening=-1.0, importance="labels")  # type: ignore[arg-type]
    assert "importance='labels' must be one of 'loss', 'outputs'" in str(caught.value)
    with pytest.raises(BadInputError, match="alpha=None finds the lowest α that kl_budget affords"):
        SelectiveDampening(alpha=None, kl_budget=None)
