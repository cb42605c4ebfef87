import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save as tensors_to_bytes
from tests.support import Ridge, blobs, ridge_trained, tiny_task

import unscathed.training.checkpoint as checkpoint
from unscathed import BadInputError, Recipe, Sisa, Trained, fit


def crash_at(write: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, the disk is full at this write."""
    calls = iter(range(100))
    real = checkpoint.os.fsync

    def crash(handle: int) -> None:
        if next(calls) == write:
            raise OSError("no space left on device")
        real(handle)

    monkeypatch.setattr(checkpoint.os, "fsync", crash)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return fit(tiny_task(), blobs(), Recipe(epochs=2), seed=0)


def check_equal(one: Trained, other: Trained) -> None:
    for part in ("recipe", "seed", "ids", "history", "shards"):
        assert getattr(one, part) == getattr(other, part), part
    assert one.checkpoints.keys() == other.checkpoints.keys()
    states = [(one.weights, other.weights), *((one.checkpoints[n], other.checkpoints[n]) for n in one.checkpoints)]
    for ours, theirs in states:
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_what_is_saved_loads_back_equal(trained: Trained, tmp_path: Path) -> None:
    trained.save(tmp_path / "model")
    check_equal(Trained.load(tmp_path / "model", tiny_task()), trained)


def test_shards_and_checkpoints_load_back_equal(tmp_path: Path) -> None:
    sisa = Sisa(shards=2, slices=2).fit(tiny_task(), blobs(), Recipe(epochs=1), seed=0)
    sisa.save(tmp_path)
    loaded = Trained.load(tmp_path, tiny_task())
    check_equal(loaded, sisa)
    assert torch.equal(loaded.outputs(blobs()), sisa.outputs(blobs()))
    wanted = sisa.shards[0][1][0]
    check_equal(
        replace(Sisa(shards=2, slices=2).unlearn(loaded, blobs(), [wanted]), history=()),
        replace(Sisa(shards=2, slices=2).unlearn(sisa, blobs(), [wanted]), history=()),
    )


def members_file(record: dict[str, Any], shard: int) -> str:
    name: str = record["weights"][f"members.{shard}."]
    return name


def record_in(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return record


def test_unlearning_from_one_shard_rewrites_only_that_shards_files(tmp_path: Path) -> None:
    sisa = Sisa(shards=3, slices=3)
    trained = sisa.fit(tiny_task(), blobs(), Recipe(epochs=3, batch_size=8), seed=0)
    trained.save(tmp_path)
    before, files = record_in(tmp_path), {p.name: p.stat() for p in tmp_path.glob("*.safetensors")}
    assert len(files) == 3 * 3, "for each shard its weights and two checkpoints"

    # From the second slice of the second shard on: its last checkpoint and its weights.
    unlearned = sisa.unlearn(trained, blobs(), [trained.shards[1][1][0]])
    unlearned.save(tmp_path)
    after, now = record_in(tmp_path), {p.name: p.stat() for p in tmp_path.glob("*.safetensors")}
    rewritten = {members_file(before, 1), before["checkpoints"]["shard-1/slice-1"]}
    assert files.keys() - now.keys() == rewritten
    assert now.keys() - files.keys() == {members_file(after, 1), after["checkpoints"]["shard-1/slice-1"]}
    for name in files.keys() & now.keys():
        assert (files[name].st_ino, files[name].st_mtime_ns) == (now[name].st_ino, now[name].st_mtime_ns)
    check_equal(Trained.load(tmp_path, tiny_task()), unlearned)


def test_a_shards_file_is_a_model_of_its_own(tmp_path: Path) -> None:
    trained = Sisa(shards=2).fit(tiny_task(), blobs(), Recipe(epochs=1), seed=0)
    trained.save(tmp_path)
    model = tiny_task().build()
    model.load_state_dict(load_file(tmp_path / members_file(record_in(tmp_path), 1)))
    assert torch.equal(model.state_dict()["0.weight"], trained.weights["members.1.0.weight"])


@pytest.mark.parametrize("fails_at", range(6))
def test_a_crash_while_saving_shards_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    sisa = Sisa(shards=2, slices=2)
    trained = sisa.fit(tiny_task(), blobs(), Recipe(epochs=1, batch_size=8), seed=0)
    trained.save(tmp_path)
    unlearned = sisa.unlearn(trained, blobs(), [trained.shards[0][0][0], trained.shards[1][0][0]])
    crash_at(fails_at, monkeypatch)
    if fails_at < 5:  # two shards, two checkpoints, the record
        with pytest.raises(OSError, match="no space"):
            unlearned.save(tmp_path)
        check_equal(Trained.load(tmp_path, tiny_task()), trained)
        # Trying again, what was written already is used.
        monkeypatch.undo()
        unlearned.save(tmp_path)
    else:
        unlearned.save(tmp_path)
    check_equal(Trained.load(tmp_path, tiny_task()), unlearned)
    assert len(list(tmp_path.glob("*.safetensors"))) == 4


def write_format_1(trained: Trained, folder: Path) -> None:
    """What the first version wrote: all weights in one file, nothing said of aggregation."""
    trained.save(folder)
    record = record_in(folder)
    for name in record["weights"].values():
        (folder / name).unlink()
    content = tensors_to_bytes(trained.weights)
    file = hashlib.blake2b(content, digest_size=16).hexdigest() + ".safetensors"
    (folder / file).write_bytes(content)
    record.update(format=1, files={"weights": file})
    del record["weights"]
    record["task"].pop("aggregation", None)
    (folder / "record.json").write_text(json.dumps(record))


@pytest.mark.parametrize("sharded", [False, True])
def test_models_of_the_first_format_are_still_read(trained: Trained, tmp_path: Path, sharded: bool) -> None:
    old = Sisa(shards=2, slices=2).fit(tiny_task(), blobs(), Recipe(epochs=1), seed=0) if sharded else trained
    write_format_1(old, tmp_path)
    loaded = Trained.load(tmp_path, tiny_task())
    check_equal(loaded, old)
    assert loaded.task.signature() == old.task.signature()
    # Saved again it is of today's format, and the old file is gone.
    loaded.save(tmp_path)
    assert record_in(tmp_path)["format"] == 2
    assert len(list(tmp_path.glob("*.safetensors"))) == (4 if sharded else 1)
    check_equal(Trained.load(tmp_path, tiny_task()), old)


def test_how_shards_are_aggregated_comes_back(tmp_path: Path) -> None:
    voting = Sisa(shards=3, aggregation="vote").fit(tiny_task(), blobs(), Recipe(epochs=1), seed=0)
    voting.save(tmp_path)
    loaded = Trained.load(tmp_path, tiny_task())
    assert torch.equal(loaded.outputs(blobs()), voting.outputs(blobs()))
    record = record_in(tmp_path)
    record["task"]["aggregation"] = "median"
    (tmp_path / "record.json").write_text(json.dumps(record))
    with pytest.raises(BadInputError, match="shards cannot be aggregated by 'median'"):
        Trained.load(tmp_path, tiny_task())


def test_shards_of_a_task_without_classes_that_are_said_to_vote(tmp_path: Path) -> None:
    _, samples = ridge_trained()
    Sisa(shards=2).fit(Ridge(5), samples, Recipe(epochs=1)).save(tmp_path)
    record = record_in(tmp_path)
    record["task"]["aggregation"] = "vote"
    (tmp_path / "record.json").write_text(json.dumps(record))
    with pytest.raises(BadInputError, match="Ridge predicts no classes to vote on"):
        Trained.load(tmp_path, Ridge(5))


def test_saving_again_leaves_unchanged_files_alone_and_removes_stale_ones(trained: Trained, tmp_path: Path) -> None:
    trained.save(tmp_path)
    (weights,) = tmp_path.glob("*.safetensors")
    before = weights.stat().st_mtime_ns
    trained.save(tmp_path)
    assert weights.stat().st_mtime_ns == before
    replace(trained, weights={n: w + 1 for n, w in trained.weights.items()}).save(tmp_path)
    assert [p != weights for p in tmp_path.glob("*.safetensors")] == [True]


@pytest.mark.parametrize("fails_at", range(4))
def test_a_crash_while_saving_leaves_the_old_model(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    trained.save(tmp_path)
    changed = replace(trained, seed=9, weights={n: w + 1 for n, w in trained.weights.items()})
    crash_at(fails_at, monkeypatch)
    if fails_at < 2:  # the weights, then the record
        with pytest.raises(OSError, match="no space"):
            changed.save(tmp_path)
        check_equal(Trained.load(tmp_path, tiny_task()), trained)
        assert not list(tmp_path.glob(".*")), "no half-written file stays behind"
    else:
        changed.save(tmp_path)
        check_equal(Trained.load(tmp_path, tiny_task()), changed)


def test_missing_and_foreign_folders(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no such folder"):
        Trained.load(tmp_path / "nowhere", tiny_task())
    with pytest.raises(BadInputError, match=r"there is no record\.json"):
        Trained.load(tmp_path, tiny_task())
    (tmp_path / "record.json").write_text('{"format": 99}')
    with pytest.raises(BadInputError, match="another program or version"):
        Trained.load(tmp_path, tiny_task())
    for known in (1, 2):
        (tmp_path / "record.json").write_text(f'{{"format": {known}}}')
        with pytest.raises(BadInputError, match=r"it lacks .*'weights'"):
            Trained.load(tmp_path, tiny_task())
    (tmp_path / "record.json").write_bytes(b"\xff{")
    with pytest.raises(BadInputError, match="damaged"):
        Trained.load(tmp_path, tiny_task())


def test_a_checkpoint_of_another_task_that_is_damaged_too(trained: Trained, tmp_path: Path) -> None:
    trained.save(tmp_path)
    (weights,) = tmp_path.glob("*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BadInputError) as caught:
        Trained.load(tmp_path, tiny_task(classes=4))
    assert "it is of another task: classes is 3 there and 4 here" in str(caught.value)
    assert "its content has another digest" in str(caught.value)
    weights.unlink()
    with pytest.raises(BadInputError, match="cannot be read"):
        Trained.load(tmp_path, tiny_task())


def test_a_record_with_a_recipe_that_cannot_be(trained: Trained, tmp_path: Path) -> None:
    trained.save(tmp_path)
    record = json.loads((tmp_path / "record.json").read_text())
    record["recipe"]["batch_size"] = -1
    (tmp_path / "record.json").write_text(json.dumps(record))
    with pytest.raises(BadInputError, match=r"record\.json is damaged"):
        Trained.load(tmp_path, tiny_task())
