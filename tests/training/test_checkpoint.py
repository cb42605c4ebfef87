import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.support import blobs, tiny_task

import unscathed.training.checkpoint as checkpoint
from unscathed import BadInputError, Recipe, Sisa, Trained, fit


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
    calls = iter(range(100))
    real = checkpoint.os.fsync

    def crash(handle: int) -> None:
        if next(calls) == fails_at:
            raise OSError("no space left on device")
        real(handle)

    monkeypatch.setattr(checkpoint.os, "fsync", crash)
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
    (tmp_path / "record.json").write_text('{"format": 1}')
    with pytest.raises(BadInputError, match="it lacks"):
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
