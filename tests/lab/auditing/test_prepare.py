"""What an audit is made with: what was trained on, what was never seen, and what is somebody's own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.support import blobs, tiny_task
from tests.support.audits import Lab, read, request, run

from unscathed import BadInputError, Samples, Trained
from unscathed.audit import Relearning
from unscathed.lab.auditing.prepare import prepare
from unscathed.training import state_of

MINE = """
import torch
from tests.support import blobs, tiny_task

task = tiny_task()
everything = blobs(240, spread=1.2)

def samples():
    return everything.at(torch.arange(120))

def test():
    return everything.at(torch.arange(120, 180))

def unseen():
    return everything.at(torch.arange(180, 240))

def wide():
    return blobs(60, classes=4)

def one_class():
    rest = unseen()
    return rest.at((rest.targets == 0).nonzero().flatten())

def copied():
    first = samples()
    again = first.at(torch.arange(1))
    return first + type(first)(again.inputs, again.targets, ["copy"])

def broken():
    return 1 / 0

def greedy(what):
    return what

number = 3
"""


def test_the_record_tells_what_was_never_seen(lab: Lab, digits: tuple[Samples, ...], original: Trained) -> None:
    """Spares are what no model was trained on: twins that a model was healed with are none."""
    retain, spares, test = digits
    twins = spares.ids[: len(spares) // 10]
    healed = replace(original, ids=(*retain.without(lab.ids).ids, *twins))
    healed.save(lab.folder / "healed")
    prepared = prepare(request(lab.folder / "healed", lab, original=(lab.folder / "original",)))
    assert prepared.trained_on.ids == retain.ids
    assert prepared.unseen is not None
    assert set(prepared.unseen.ids) == set(spares.ids) - set(twins)
    beside_gold = prepare(
        request(lab.folder / "healed", lab, original=(lab.folder / "original",), gold=(lab.folder / "gold",))
    )
    assert beside_gold.unseen is not None
    # Shadow models know nothing of which model is audited: other audits of the same data share them.
    assert prepared.drawn_from.ids == beside_gold.drawn_from.ids
    assert set(prepared.drawn_from.ids) == {*retain.ids, *spares.ids, *test.ids}
    assert set(beside_gold.unseen.ids) == set(spares.ids) - set(twins) | set(test.ids)
    # What matching leaves of a reserve is no fair sample, once it took many.
    replace(original, ids=(*retain.without(lab.ids).ids, *spares.ids[:30])).save(lab.folder / "often healed")
    often = prepare(request(lab.folder / "often healed", lab, original=(lab.folder / "original",)))
    assert often.unseen is not None
    assert often.unseen.ids == test.ids
    # Also where nothing but the model's own record tells.
    alone = prepare(request(lab.folder / "healed", lab, gold=(lab.folder / "bare.safetensors",)))
    assert set(alone.trained_on.ids) == set(retain.ids) | set(twins)


def test_without_a_record_the_split_tells(lab: Lab, digits: tuple[Samples, ...]) -> None:
    bare = lab.folder / "bare.safetensors"
    prepared = prepare(request(bare, lab, original=(bare,), reserve=0.1))
    assert prepared.trained_on.ids == digits[0].ids
    assert prepared.unseen is not None
    assert prepared.unseen.ids == digits[1].ids
    assert set(prepared.models["model"].ids) == set(digits[0].ids) - set(lab.ids)
    assert prepared.models["original"].ids == digits[0].ids
    as_number = prepare(request(bare, lab, original=(bare,), reserve=float(len(digits[1]))))
    assert as_number.trained_on.ids == digits[0].ids
    with pytest.raises(BadInputError, match="its record says what it was trained on"):
        prepare(request(bare, lab, original=(lab.folder / "original",), reserve=0.3))


def test_what_was_never_learned_is_not_forgotten(lab: Lab, digits: tuple[Samples, ...]) -> None:
    asked = replace(request(lab.folder / "gold", lab, original=(lab.folder / "original",)), forget=digits[1].ids[0])
    with pytest.raises(BadInputError, match="never trained on 1 of these"):
        prepare(asked)


def test_relearning_is_measured_where_it_is_asked_for(lab: Lab) -> None:
    both: dict[str, Any] = {"original": (lab.folder / "original",), "gold": (lab.folder / "gold",)}
    prepared = prepare(request(lab.folder / "gold", lab, relearning=True, **both))
    assert any(isinstance(measure, Relearning) for measure in prepared.measures)
    with pytest.raises(BadInputError, match="relearning needs gold, to count its steps; give --gold"):
        prepare(request(lab.folder / "gold", lab, relearning=True, original=(lab.folder / "original",)))


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[str]:
    """A module in the working folder, and a model that a plain loop trained, as options and arguments."""
    name = f"mine_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    torch.manual_seed(0)
    model, samples = tiny_task().build(), blobs(240, spread=1.2).at(torch.arange(10, 120))
    descent = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(60):
        descent.zero_grad()
        torch.nn.functional.cross_entropy(model(samples.inputs), samples.targets).backward()
        descent.step()
    save_file(state_of(model), "own.safetensors")
    Path("forget.txt").write_text("\n".join(blobs(240, spread=1.2).ids[:10]))
    parts = [part for kind in ("samples", "test", "unseen") for part in (f"--{kind}", f"{name}:{kind}")]
    return [name, "own.safetensors", "--forget", "@forget.txt", "--task", f"{name}:task", *parts]


def test_a_model_and_a_task_of_ones_own(mine: list[str]) -> None:
    """Its own gold: it was never trained on what it should have forgotten."""
    _, *arguments = mine
    same = [
        "--gold",
        "own.safetensors",
        "--original",
        "own.safetensors",
        "--tolerance",
        "utility=0.2",
        "class_utility=0.5",
    ]
    run(*arguments, *same, "--out", "out", code=2)
    record = read(Path("out"))
    assert record["samples"] == {
        "trained on": 120, "forgotten": 10, "retained": 110, "test": 60, "unseen": 60, "unseen_are": "unseen samples",
    }  # fmt: skip
    assert record["verdict"]["whole"] == "pass"
    # What never forgot is the same model here: the checks cannot tell, and say so.
    assert record["verdict"]["powerless"]


def test_what_is_missing_is_asked_for(mine: list[str]) -> None:
    name, *arguments = mine
    model, forget = arguments[:1], arguments[1:3]
    assert "there is no --task and no --samples" in run(*model, *forget, code=3)
    shown = run(*model, *forget, "--task", f"{name}:task", "--samples", f"{name}:samples", "--shadows", "2", code=3)
    assert "nothing says how" in shown
    assert "give --gold, or --unseen" in shown
    shown = run(
        *model, *forget, "--task", f"{name}:number", "--samples", f"{name}:greedy", "--test", f"{name}:tset", code=3
    )
    assert "is or makes a int; it must be Task" in shown
    assert "asks for what" in shown
    assert "has no 'tset'; did you mean 'test'?" in shown


def test_a_bug_in_somebodys_own_code_is_no_verdict(mine: list[str]) -> None:
    name, *arguments = mine
    assert "ZeroDivisionError" in run(*arguments, "--test", f"{name}:broken", code=3)


def test_a_file_of_ids_that_is_not_there_is_no_riddle(mine: list[str]) -> None:
    lost = ["nowhere.txt" if argument == "@forget.txt" else argument for argument in mine[1:]]
    told = run(*lost, "--original", "own.safetensors", code=3)
    assert "1 ids are unknown ('nowhere.txt')" in told
    assert "nor is there a file of that name" in told


def test_samples_that_do_not_fit_are_named(mine: list[str]) -> None:
    name, *arguments = mine
    wide = run(*arguments, "--test", f"{name}:wide", "--original", "own.safetensors", code=3)
    assert "--test: " in wide
    assert "out of range" in wide
    one = run(*arguments[:3], "--task", f"{name}:task", "--samples", f"{name}:one_class", code=3)
    assert "ids are unknown" in one
    other = [*arguments, "--original", "own.safetensors"]
    Path("forget.txt").write_text(blobs(240, spread=1.2).ids[1])  # of class 1
    assert "no unseen sample is of a forgotten sample's class" in run(*other, "--unseen", f"{name}:one_class", code=3)


def test_copies_that_stay_are_told(mine: list[str]) -> None:
    name, *arguments = mine
    run(*arguments, "--samples", f"{name}:copied", "--original", "own.safetensors", "--out", "out", code=2)
    assert any(said.startswith("1 of the forgotten have exact copies") for said in read(Path("out"))["rests_on"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "."], "--data is where a data set's files lie"),
        (["--dataset", "nowhere"], "is none of adult"),
        (["--dataset", "digits", "--data", "."], "has no files; leave --data out"),
        (["--dataset", "csv"], "--dataset csv needs"),
        (["--dataset", "image_folder"], "needs path; give --data"),
        (["--dataset", "mnist", "--data", "nowhere"], "--dataset mnist: "),
        (["--dataset", "digits", "--reserve", "3000"], "--reserve: "),
    ],
)
def test_data_sets_that_are_none_are_named(options: list[str], words: str, lab: Lab) -> None:
    assert words in run(lab.folder / "bare.safetensors", "--forget", lab.forget, *options, code=3)
