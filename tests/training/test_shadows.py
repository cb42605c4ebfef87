from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support import digit_setup, one_thread
from torch import nn

from unscathed import BadInputError, Callback, ClassificationTask, Recipe, Samples, Trained, fit, fit_shadows
from unscathed.executors import Local


@pytest.fixture(scope="module")
def samples() -> Samples:
    digits = digit_setup().samples
    return digits.only(digits.ids[:101])


def test_each_sample_is_in_half_of_the_models(samples: Samples) -> None:
    shadows = fit_shadows(digit_setup().task, samples, Recipe(steps=2), 4)
    assert shadows.inside.sum(dim=0).tolist() == [2] * 101
    for model, inside in zip(shadows.models, shadows.inside, strict=True):
        assert set(model.ids) == {i for i, there in zip(samples.ids, inside.tolist(), strict=True) if there}
    assert len({tuple(mask.tolist()) for mask in shadows.inside}) == 4
    assert len({model.seed for model in shadows.models}) == 4


def test_an_executor_changes_no_bit_and_more_models_keep_the_first(samples: Samples, tmp_path: Path) -> None:
    task, recipe = digit_setup().task, Recipe(steps=3)
    with one_thread():
        few = fit_shadows(task, samples, recipe, 2, seed=3)
    with Local(2, threads=1) as executor:
        many = fit_shadows(task, samples, recipe, 4, seed=3, folder=tmp_path, executor=executor)
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["0000", "0001", "0002", "0003"]
    for one, same in zip(few.models, many.models[:2], strict=True):
        assert all(torch.equal(same.weights[name], weight) for name, weight in one.weights.items())


def test_counts_that_make_no_halves(samples: Samples) -> None:
    for count in (0, 3):
        with pytest.raises(BadInputError, match=f"count={count}"):
            fit_shadows(digit_setup().task, samples, Recipe(steps=1), count)


class Counted(Callback):
    """Steps, and how many models were trained when each was told."""

    def __init__(self, fitted: list[int]) -> None:
        self.fitted = fitted
        self.steps: list[tuple[int, int]] = []

    def on_step(self, step: int, loss: torch.Tensor | None = None) -> None:
        self.steps.append((step, len(self.fitted)))


def test_a_folder_keeps_each_model_as_it_comes_and_gives_it_again(
    samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, recipe = digit_setup().task, Recipe(steps=3)
    fitted: list[int] = []

    def fit_until_the_third(*args: Any, **kwargs: Any) -> Trained:
        if len(fitted) == 2:
            raise KeyboardInterrupt
        fitted.append(kwargs["seed"])
        return fit(*args, **kwargs)

    monkeypatch.setattr("unscathed.training.shadows.fit", fit_until_the_third)
    with pytest.raises(KeyboardInterrupt):
        fit_shadows(task, samples, recipe, 4, folder=tmp_path)
    monkeypatch.setattr("unscathed.training.shadows.fit", lambda *a, **k: fitted.append(k["seed"]) or fit(*a, **k))
    # A model that was cut off while it was saved has weights and no record.
    (tmp_path / "0003").mkdir()
    (tmp_path / "0003" / "half.safetensors").write_bytes(b"half")
    counted = Counted(fitted)
    resumed = fit_shadows(task, samples, recipe, 4, folder=tmp_path, callbacks=[counted])
    assert len(fitted) == len(set(fitted)) == 4, "the first two were not trained again"
    assert counted.steps == [(1, 2), (2, 2), (3, 3), (4, 4)], "as they come"
    more = fit_shadows(task, samples, recipe, 6, folder=tmp_path)
    assert len(fitted) == 6
    plain = fit_shadows(task, samples, recipe, 6)
    assert torch.equal(more.inside, plain.inside)
    for one, same in zip((*resumed.models, *more.models[4:]), plain.models, strict=True):
        assert one.ids == same.ids
        assert all(torch.equal(same.weights[name], weight) for name, weight in one.weights.items())


def test_a_folder_of_others_shadow_models_is_refused(samples: Samples, tmp_path: Path) -> None:
    task, recipe = digit_setup().task, Recipe(steps=1)
    fit_shadows(task, samples, recipe, 2, folder=tmp_path)
    other_task = ClassificationTask(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), 10)
    relabelled = Samples(samples.inputs, (samples.targets + 1) % 10, samples.ids)
    for arguments, words in (
        ((other_task, samples, recipe, 2), "another task .*Linear|another task .*Sequential"),
        ((task, samples, Recipe(steps=2), 2), r"another recipe \(steps: 1 there, 2 here\)"),
        ((task, samples.only(samples.ids[:100]), recipe, 2), r"another samples \(.*count: 101 there, 100 here"),
        ((task, relabelled, recipe, 2), "another samples"),
    ):
        with pytest.raises(BadInputError, match=words):
            fit_shadows(*arguments, folder=tmp_path)
    with pytest.raises(BadInputError, match=r"another recipe .* and another seed \(0 there, 1 here\)"):
        fit_shadows(task, samples, Recipe(steps=2), 2, seed=1, folder=tmp_path)
    (tmp_path / "made_with.json").write_text("{")
    with pytest.raises(BadInputError, match="is damaged"):
        fit_shadows(task, samples, recipe, 2, folder=tmp_path)
