"""Store: shared work on disk, under keys of everything that it depends on.

Each piece of work is a folder that appears whole or not at all. Processes may share a store: a lock for each key
sees to it that nothing is computed twice, and a process that dies lets go of its locks.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from unscathed.problems import Problems

RECORD = "made.json"
LIMIT = 20 * 2**30
SWEEP_EVERY = 30.0
"""Seconds between looks at the store's size while it is filled."""


@dataclass(frozen=True)
class Made:
    """What a piece of work cost.

    Args:
        seconds: wall time.
        cpu_seconds: of all threads of the process.
        peak_memory: the process's largest resident size meanwhile, bytes; what others left there is in it.
        threads: that it was computed with.
        details: more to keep with it (what it was, in words; versions), as plain JSON.
    """

    seconds: float
    cpu_seconds: float
    peak_memory: int
    threads: int
    details: dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One piece of work in a store.

    Args:
        kind: what sort of work.
        key: of its content.
        folder: where it lies.
        size: bytes.
        used: when it was last used, seconds since the epoch.
        made: what it cost; None where the record cannot be read.
    """

    kind: str
    key: str
    folder: Path
    size: int
    used: float
    made: Made | None


class Store:
    """Shared work on disk.

    Args:
        folder: made where it is missing; by default `default_folder`.
        limit: bytes it may take; what was not used for longest goes first.
    """

    def __init__(self, folder: str | Path | None = None, *, limit: int = LIMIT) -> None:
        problems = Problems("cannot use this cache")
        problems.require(limit > 0, f"limit={limit} must be a positive number of bytes")
        self.folder = Path(folder) if folder is not None else default_folder()
        self.limit = limit
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problems.require(False, f"{self.folder} cannot be made ({error.strerror})")
        else:
            problems.require(os.access(self.folder, os.W_OK), f"{self.folder} may not be written to")
        problems.raise_any()
        self._swept = 0.0

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r}, limit={self.limit})"

    def find(self, kind: str, key: str) -> Path | None:
        """The folder of a piece of work, or None; it counts as used now."""
        folder = self.folder / kind / key
        try:
            os.utime(folder / RECORD)
        except OSError:
            return None
        return folder

    def made(self, folder: Path) -> Made:
        """What the work in a folder cost."""
        return Made(**json.loads((folder / RECORD).read_text()))

    def put(self, kind: str, key: str, write: Callable[[Path], None], made: Made) -> Path:
        """Keep a piece of work; ``write`` fills a folder, which appears only when it is whole."""
        final = self.folder / kind / key
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder))
        try:
            write(temporary)
            (temporary / RECORD).write_text(json.dumps(asdict(made)))
            temporary.chmod(0o755)
            if not final.exists():
                temporary.rename(final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        if time.monotonic() - self._swept > SWEEP_EVERY:
            self._swept = time.monotonic()
            self.shrink(self.limit, keep=final)
        return final

    def remove(self, folder: Path) -> None:
        """Throw a piece of work away, at once for everyone who looks for it."""
        grave = Path(tempfile.mkdtemp(prefix=".old-", dir=self.folder))
        try:
            folder.rename(grave / "work")
        except FileNotFoundError:
            pass  # another process was faster
        finally:
            shutil.rmtree(grave, ignore_errors=True)

    def lock(self, key: str) -> FileLock:
        """A lock on a key, to be held while its work is done; the system lets go of it when its holder dies."""
        locks = self.folder / "locks"
        locks.mkdir(exist_ok=True)
        return FileLock(locks / f"{key}.lock")

    def entries(self) -> Iterator[Entry]:
        """Everything that is kept, in no order."""
        for record in self.folder.glob(f"*/*/{RECORD}"):
            folder = record.parent
            try:
                size = sum(f.stat().st_size for f in folder.iterdir())
                used = record.stat().st_mtime
            except OSError:
                continue  # it was removed while we looked
            try:
                made = self.made(folder)
            except (OSError, ValueError, TypeError):
                made = None
            yield Entry(folder.parent.name, folder.name, folder, size, used, made)

    def shrink(self, limit: int, *, keep: Path | None = None) -> list[Entry]:
        """Remove what was not used for longest until the rest takes no more than ``limit`` bytes; says what went."""
        found = sorted(self.entries(), key=lambda e: e.used)
        total = sum(e.size for e in found)
        gone = []
        for entry in found:
            if total <= limit:
                break
            if entry.folder != keep:
                self.remove(entry.folder)
                total -= entry.size
                gone.append(entry)
        return gone

    def tidy(self) -> None:
        """Remove what dead processes left behind: unfinished work and locks that nobody holds."""
        for rest in (*self.folder.glob(".new-*"), *self.folder.glob(".old-*")):
            try:
                old = time.time() - rest.stat().st_mtime > 3600
            except FileNotFoundError:
                continue  # another process has finished with it by now
            if old:
                shutil.rmtree(rest, ignore_errors=True)
        for path in (self.folder / "locks").glob("*.lock"):
            lock = FileLock(path)
            try:
                with lock.acquire(blocking=False):
                    path.unlink(missing_ok=True)
            except OSError:
                continue  # held (Timeout is an OSError), or gone


def default_folder() -> Path:
    """``UNSCATHED_CACHE``, or a folder of the user's cache."""
    named = os.environ.get("UNSCATHED_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(base) / "unscathed"
