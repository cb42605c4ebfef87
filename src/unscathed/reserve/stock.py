"""The stock: which spares are gone, and why. Each goes once, whoever asks, and however it ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from unscathed.problems import BadInputError, Problems, some

Fate = Literal["spent", "withdrawn", "quarantined"]
SCHEMA = """
CREATE TABLE IF NOT EXISTS gone (
    spare TEXT PRIMARY KEY, fate TEXT NOT NULL, request TEXT NOT NULL, at TEXT NOT NULL, distance REAL,
    number INTEGER NOT NULL
) WITHOUT ROWID
"""


class Gone(NamedTuple):
    """What became of a spare.

    Args:
        fate: ``"spent"`` (it is training data now), ``"withdrawn"`` (its owner wanted it forgotten) or
            ``"quarantined"`` (a screen suspects it).
        request: on which request, or why.
        at: when, ISO 8601, UTC.
        distance: how far it was from what it stands in for, where it stands in for something.
    """

    fate: Fate
    request: str
    at: str
    distance: float | None = None


class Stock:
    """The record of spares that are gone, in memory or in a file.

    A file is an SQLite database: what was recorded survives a kill at any moment, several processes may share it, and
    the second of two that would spend one spare is refused.

    Args:
        file: where it is kept; None keeps it in memory.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self._memory: dict[str, Gone] = {}
        if file is not None:
            with self._open() as database:
                database.execute(SCHEMA)

    @property
    def gone(self) -> Mapping[str, Gone]:
        """What became of the spares that are gone, by id, in the order in which they went."""
        if self.file is None:
            return dict(self._memory)
        with self._open() as database:
            return _read(database)

    def take(
        self, spares: Iterable[str], fate: Fate, request: str, distances: Mapping[str, float] | None = None
    ) -> None:
        """Record that spares are gone: all of them, or, where one was gone before, none.

        Only what is in quarantine may still be withdrawn: its owner's wish outlasts the screen's suspicion.

        Args:
            spares: their ids.
            fate: what becomes of them.
            request: on which request, or why.
            distances: how far they are from what they stand in for, by id.

        Raises:
            BadInputError: some are gone already.
        """
        at = datetime.now(UTC).isoformat(timespec="seconds")
        entries = {i: Gone(fate, request, at, (distances or {}).get(i)) for i in spares}
        if self.file is None:
            _refuse(entries, fate, self._memory)
            self._memory.update(entries)
            return
        with self._open() as database, _transaction(database):
            # Nobody else writes from here on, so what is read stays true.
            before = _read(database)
            _refuse(entries, fate, before)
            _write(database, entries, len(before))

    def move_to(self, file: Path) -> None:
        """Keep the record in a file from now on.

        Raises:
            BadInputError: there is a record in that file already.
        """
        if file.exists():
            raise BadInputError("cannot keep the record there", [f"{file} exists; load that reserve, or give another"])
        # Under its name it is there whole or not at all: a record without its entries would offer spent spares again.
        unfinished = file.with_name(f".{file.name}.part")
        unfinished.unlink(missing_ok=True)
        moved = Stock(unfinished)
        with moved._open() as database, _transaction(database):
            _write(database, self.gone, 0)
        unfinished.replace(file)
        self.file, self._memory = file, {}

    def release(self, spares: Iterable[str]) -> None:
        """Take spares out of quarantine.

        Raises:
            BadInputError: some are not in quarantine: what is spent or withdrawn stays gone.
        """
        ids = list(spares)
        problems = Problems("cannot release spares")
        gone = self.gone
        kept = [i for i in ids if i not in gone or gone[i].fate != "quarantined"]
        problems.require(not kept, f"{len(kept)} of them are not in quarantine ({some(kept)})")
        problems.raise_any()
        if self.file is None:
            for i in ids:
                del self._memory[i]
            return
        with self._open() as database, _transaction(database):
            database.executemany("DELETE FROM gone WHERE spare = ? AND fate = 'quarantined'", [(i,) for i in ids])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        assert self.file is not None
        try:
            # A connection an operation: nothing is shared with forked or pickled copies.
            with closing(sqlite3.connect(self.file, timeout=60, isolation_level=None)) as database:
                database.execute("PRAGMA synchronous = FULL")
                yield database
        except sqlite3.DatabaseError as error:
            raise BadInputError("cannot use this reserve's record", [f"{self.file}: {error}"]) from error


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _read(database: sqlite3.Connection) -> dict[str, Gone]:
    rows = database.execute("SELECT spare, fate, request, at, distance FROM gone ORDER BY number, spare")
    return {spare: Gone(*rest) for spare, *rest in rows}


def _write(database: sqlite3.Connection, entries: Mapping[str, Gone], first: int) -> None:
    rows = [(spare, *entry, first + place) for place, (spare, entry) in enumerate(entries.items())]
    database.executemany("INSERT OR REPLACE INTO gone VALUES (?, ?, ?, ?, ?, ?)", rows)


def _refuse(entries: Iterable[str], fate: Fate, gone: Mapping[str, Gone]) -> None:
    again = [i for i in entries if i in gone and (fate, gone[i].fate) != ("withdrawn", "quarantined")]
    if again:
        first = gone[again[0]]
        raise BadInputError(
            "cannot spend",
            [
                f"{len(again)} spares were spent before or are gone ({some(again)}; {again[0]!r} was {first.fate} "
                f"{first.at}, {first.request or 'no request named'}); match again"
            ],
        )
