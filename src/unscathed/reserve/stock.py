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
    spare TEXT PRIMARY KEY, fate TEXT NOT NULL, request TEXT NOT NULL, at TEXT NOT NULL, number INTEGER NOT NULL
) WITHOUT ROWID
"""


class Gone(NamedTuple):
    """What became of a spare.

    Args:
        fate: ``"spent"`` (it is training data now), ``"withdrawn"`` (its owner wanted it forgotten) or
            ``"quarantined"`` (a screen suspects it).
        request: on which request, or why.
        at: when, ISO 8601, UTC.
    """

    fate: Fate
    request: str
    at: str


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
            rows = database.execute("SELECT spare, fate, request, at FROM gone ORDER BY number, spare")
            return {spare: Gone(fate, request, at) for spare, fate, request, at in rows}

    def take(self, spares: Iterable[str], fate: Fate, request: str) -> None:
        """Record that spares are gone: all of them, or, where one was gone before, none.

        Raises:
            BadInputError: some are gone already.
        """
        ids = list(spares)
        entry = Gone(fate, request, datetime.now(UTC).isoformat(timespec="seconds"))
        if self.file is None:
            self._refuse([i for i in ids if i in self._memory], self._memory)
            self._memory.update(dict.fromkeys(ids, entry))
            return
        with self._open() as database, _transaction(database):
            # Nobody else writes from here on, so what is read stays true.
            before = {
                spare: Gone(*rest) for spare, *rest in database.execute("SELECT spare, fate, request, at FROM gone")
            }
            self._refuse([i for i in ids if i in before], before)
            first = len(before)
            database.executemany(
                "INSERT INTO gone VALUES (?, ?, ?, ?, ?)", [(i, *entry, first + n) for n, i in enumerate(ids)]
            )

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

    @staticmethod
    def _refuse(again: list[str], gone: Mapping[str, Gone]) -> None:
        if again:
            first = gone[again[0]]
            raise BadInputError(
                "cannot spend",
                [
                    f"{len(again)} spares were spent before or are gone ({some(again)}; {again[0]!r}: {first.fate}, "
                    f"{first.request or 'no request named'}, {first.at}); match again"
                ],
            )

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
