from pathlib import Path

import pytest
from tests.support.experiments import TINY, tiny

from unscathed import BadInputError, Fisher
from unscathed.lab.experiment import Experiment
from unscathed.lab.seeds import PURPOSES, Seeds

FILE = """
seeds = [3, 5]
dataset = "digits"
model = { "own:Wide" = { width = 7 } }
adversary = { Random = { budget = { each = [0.05, 0.1] } } }
unlearner = [{ Fisher = { kl_budget = 0.5 } }, "Retrain"]
healer = []
[[grid]]
similarity = { Cosine = { space = "Raw" } }
[[grid]]
unlearner = "Sisa"
recipe = { epochs = 3, augment = [{ Shift = { pixels = 1 } }, "Flip"] }
"""
OWN = """
from torch import nn
class Wide(nn.Sequential):
    def __init__(self, classes, width=3):
        super().__init__(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, classes))
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "grid.toml").write_text(FILE)
    return Experiment.from_file(tmp_path / "grid.toml")


def test_a_file_is_a_union_of_grids(experiment: Experiment) -> None:
    assert experiment.name == "grid"
    assert experiment.seeds == (3, 5)
    # 2 seeds x 2 budgets x 2 unlearners, and 2 seeds x 2 budgets x 1
    assert len(experiment.cells) == 8 + 4
    assert {str(c.adversary) for c in experiment.cells} == {"Random(budget=0.05)", "Random(budget=0.1)"}
    assert {str(c.unlearner) for c in experiment.cells} == {"Fisher(kl_budget=0.5)", "Retrain", "Sisa"}
    assert {str(c.similarity) for c in experiment.cells} == {"Cosine(space=Raw)", "Cosine"}
    assert {c.healer for c in experiment.cells} == {None}


def test_components_are_built_from_what_the_file_says_and_what_the_data_knows(experiment: Experiment) -> None:
    cell = experiment.cells[0]
    assert cell.unlearner.build() == Fisher(kl_budget=0.5)
    assert cell.setting.model is not None
    assert str(cell.setting.model) == "Wide(width=7)"
    assert cell.setting.model.build({"classes": 4, "channels": 9})[3].out_features == 4
    assert repr(experiment.cells[-1].setting.recipe.build().augment) == "(Shift(pixels=1), Flip(probability=0.5))"


def test_a_file_needs_little() -> None:
    experiment = Experiment.from_dict({"dataset": "digits", "adversary": "Random", "unlearner": "Fisher"})
    assert [str(c.healer) for c in experiment.cells] == ["Healer", "Healer(strategy='retain')"]
    assert str(experiment.cells[0].setting.model) == "DigitNet"


def test_environment_variables_stand_for_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "/data")
    cell = tiny(dataset={"image_folder": {"path": "$WHERE/animals"}}, model="ColourNet").cells[0]
    assert cell.setting.dataset.to_json() == {"image_folder": {"path": "/data/animals"}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dataset": "Digits"}, "no dataset 'Digits'; did you mean 'digits'"),
        ({"unlearner": [{"Fisher": {"kl_budgt": 1}}]}, "no argument 'kl_budgt'; did you mean 'kl_budget'"),
        ({"unlearner": "Qwxyz"}, "no unlearner 'Qwxyz'; there are "),
        ({"advesary": "Random"}, "no key 'advesary'; did you mean 'adversary'"),
        ({"adversary": {"Random": {"budget": 2.5}}}, "budget=2.5 must be a share"),
        ({"adversary": {"Random": {}, "OneClass": {}}}, 'must be "Name" or'),
        ({"model": "own_module:Net"}, "'own_module:Net' cannot be imported"),
        ({"model": "torch.nn:Liner"}, "has no 'Liner'; did you mean 'Linear'"),
        ({"recipe": {"epochs": -1}}, "epochs=-1 must be a positive"),
        ({"reserve": 1.5}, "share=1.5"),
        ({"seeds": "many"}, "seeds = 'many' must be"),
        ({"seeds": []}, "seeds = .. must be"),
        ({"fixed": {"luck": 1}}, "luck = 1 must be one of split"),
        ({"adversary": {"Random": {"budget": {"each": []}}}}, "nothing in each"),
        ({"grid": {"unlearner": "Sisa"}}, "grid must be one or more tables"),
        ({"grid": []}, "grid must be one or more tables"),
        ({"adversary": []}, "adversary = .. leaves nothing to do"),
        ({"fixed": 3}, "fixed = 3 must be a table"),
        ({"validation": 1.5}, "validation = 1.5 must be a share of the test samples"),
        ({"validation": "half"}, "validation = 'half' must be"),
        ({"validation": True}, "validation = True must be"),
        ({"healer": {"Healer": {"strategy": "hope"}}}, "strategy='hope'"),
    ],
)
def test_mistakes_are_named_with_the_nearest_right_name(change: dict[str, object], words: str) -> None:
    with pytest.raises(BadInputError, match=words) as caught:
        tiny(**change)
    assert len(caught.value.problems) == 1


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(BadInputError) as caught:
        tiny(dataset="digit", unlearner=["Fishr", {"Sisa": {"shard": 1}}], seeds=-1)
    assert len(caught.value.problems) == 4
    with pytest.raises(BadInputError, match="dataset, adversary, unlearner must be given"):
        Experiment.from_dict({})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        Experiment.from_file(tmp_path / "nowhere.toml")
    (tmp_path / "bad.toml").write_text("dataset = digits")
    with pytest.raises(BadInputError, match=r"no TOML: Invalid value .at line 1"):
        Experiment.from_file(tmp_path / "bad.toml")


def test_every_purpose_has_a_seed_of_its_own_and_may_be_fixed() -> None:
    one, other = Seeds.of(0), Seeds.of(1)
    values = [getattr(s, p) for s in (one, other) for p in PURPOSES]
    assert len(set(values)) == len(values)
    fixed = tiny(seeds=2, fixed={"split": 11})
    assert {c.setting.seeds.split for c in fixed.cells} == {11}
    assert {c.setting.seeds.training for c in fixed.cells} == {one.training, other.training}


def test_the_same_cell_is_there_once() -> None:
    assert len(tiny(grid=[{}, {}]).cells) == len(tiny().cells) == len(tiny(unlearner=TINY["unlearner"] * 2).cells)
