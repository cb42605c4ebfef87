import os
import time
from pathlib import Path

import pytest

from unscathed import BadInputError
from unscathed.lab import store as module
from unscathed.lab.store import Made, Store, default_folder

MADE = Made(1.0, 2.0, 3, 1, {"what": "a test"})


def fill(content: str) -> object:
    return lambda folder: (folder / "content").write_text(content)


def put(store: Store, key: str, content: str = "x", used: float | None = None) -> Path:
    folder = store.put("original", key, fill(content), MADE)  # type: ignore[arg-type]
    if used is not None:
        os.utime(folder / module.RECORD, (used, used))
    return folder


def test_work_is_found_again_with_its_cost(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.find("original", "a") is None
    folder = put(store, "a", "content")
    assert store.find("original", "a") == folder
    assert (folder / "content").read_text() == "content"
    assert store.made(folder) == MADE
    assert [(e.kind, e.key, e.made) for e in store.entries()] == [("original", "a", MADE)]


def test_work_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def write(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        store.put("original", "a", write, MADE)
    assert store.find("original", "a") is None
    assert [p.name for p in tmp_path.iterdir()] == ["original"]


def test_whoever_comes_second_keeps_the_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, "a", "first")
    assert (put(store, "a", "second") / "content").read_text() == "first"


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for age, key in enumerate("abc"):
        put(store, key, "x" * 1000, used=time.time() - 100 + age)
    store.find("original", "a")  # used now
    size = max(e.size for e in store.entries())
    assert [e.key for e in store.shrink(2 * size)] == ["b"]
    assert {e.key for e in store.entries()} == {"a", "c"}
    assert [e.key for e in store.shrink(1, keep=tmp_path / "original" / "c")] == ["a"]


def test_a_full_store_makes_room_while_it_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_EVERY", 0.0)
    store = Store(tmp_path, limit=3000)
    for age, key in enumerate("abcd"):
        put(store, key, "x" * 1000)
        os.utime(tmp_path / "original" / key / module.RECORD, (age, age))
    assert {e.key for e in store.entries()} == {"c", "d"}


def test_locks_exclude_and_are_tidied(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock("a"):
        other = Store(tmp_path).lock("a")
        with pytest.raises(OSError, match="could not be acquired"):
            other.acquire(blocking=False)
        store.tidy()
        assert (tmp_path / "locks" / "a.lock").exists(), "a lock that is held stays"
    store.tidy()
    assert not list((tmp_path / "locks").iterdir())


def test_what_dead_processes_left_is_tidied(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, age in ((".new-old", 7200), (".new-young", 10)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    # A link that leads nowhere looks like work that another process has just finished with.
    (tmp_path / ".new-gone").symlink_to(tmp_path / "nowhere")
    store.tidy()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".new-gone", ".new-young"]


def test_folders_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError) as caught:
        Store(tmp_path / "file", limit=0)
    assert len(caught.value.problems) == 2
    monkeypatch.setenv("UNSCATHED_CACHE", str(tmp_path / "named"))
    assert default_folder() == tmp_path / "named"
    monkeypatch.delenv("UNSCATHED_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "unscathed"
