"""The report: results as a page for a newcomer, and as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group

from unscathed.lab.extras import TABLES, missing_extras, require_extras
from unscathed.lab.results import Results

# What reads and draws needs the lab's extras, and is imported when they are known to be there.


def write_report(source: str | Path | Results | Sequence[Results], path: str | Path) -> None:
    """Write one page that needs nothing else, to be read by someone who was not there.

    Args:
        source: a results folder, or what was measured in one or more settings.
        path: of the page; it is replaced whole or not at all.

    Raises:
        BadInputError: what the page is made with is not installed, or the folder cannot be read.
    """
    require_extras("cannot write the report")
    from unscathed.lab.report.page import write_page

    write_page(source, Path(path))


def summary_table(source: str | Path | Results) -> Group:
    """A row for each adversary and unlearner, for a terminal of 110 columns or more; values are means over seeds.

    Args:
        source: a results folder, or what was measured of one setting.

    Raises:
        BadInputError: what reads the folder is not installed, or it cannot be read.
    """
    require_extras("cannot make the table", TABLES)
    from unscathed.lab.report.table import tables_of

    return tables_of(source)


__all__ = ["missing_extras", "summary_table", "write_report"]
